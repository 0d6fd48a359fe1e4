"""The system software (SC&MP) of virtual chips: what it keeps in memory and answers to hosts."""
