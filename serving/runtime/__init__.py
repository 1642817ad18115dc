"""The inference server: the Open Inference Protocol (V2) over ONNX Runtime.

It is what goes into a model server's image, so it knows nothing of ours but the artifact's
contract, and nothing heavier than what answering a request needs. See `serving.runtime.app` for the
routes.
"""
