"""What goes over the wire to SpiNNaker boards: datagrams, commands, answers, layouts. Pure."""
