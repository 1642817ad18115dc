"""gRPC of the Open Inference Protocol, and HTTP/2 under it, on the port of REST."""
