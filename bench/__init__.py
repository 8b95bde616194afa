"""What Keyscope costs: each figure beside its ceiling or a peer, measured in the same run."""
