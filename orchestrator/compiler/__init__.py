"""Maps a replica onto a slice of a machine: what every chip and core computes, keeps and sends."""
