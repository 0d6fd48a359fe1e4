"""Virtual boards on UDP sockets: power, boot, BMPs, faults, and the machine that they make up."""
