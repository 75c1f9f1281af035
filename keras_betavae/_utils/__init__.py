"""What every room shares: files that are complete, checks of arguments, replicas."""
