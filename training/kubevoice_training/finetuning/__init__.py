"""Fine-tuning of a base voice: one step of each network, the runs, and what TensorBoard shows of them."""
