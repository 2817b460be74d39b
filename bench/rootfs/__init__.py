"""One userland, built once and packed twice: a tree and tar for containers, an ext4 disk for virtual machines."""
