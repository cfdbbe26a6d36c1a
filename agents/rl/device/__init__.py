"""Markets and PPO as torch tensors on one device, without a transfer between two updates: for GPUs."""
