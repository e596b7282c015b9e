"""Lightning callbacks: evaluation during training, TensorBoard figures."""
