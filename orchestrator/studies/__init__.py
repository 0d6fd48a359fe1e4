"""Studies: trainings and predictions compared in tables and plots."""
