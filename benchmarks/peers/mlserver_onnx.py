"""The same ONNX model in MLServer: runs in MLServer's own environment, knows nothing of ours.

As lean as its interface allows: the session has the same options as ours, tensors go to it without
pandas.
"""

import numpy as np
import onnxruntime as ort
from mlserver import MLModel
from mlserver.codecs import NumpyCodec, StringCodec
from mlserver.types import InferenceRequest, InferenceResponse


class OnnxModel(MLModel):
    """One ONNX file, named by ``parameters.uri``."""

    async def load(self) -> bool:
        options = ort.SessionOptions()
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        self._session = ort.InferenceSession(self.settings.parameters.uri, options)
        self._names = [output.name for output in self._session.get_outputs()]
        return True

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        feeds = {}
        for given in payload.inputs:
            if given.datatype == "BYTES":
                texts = np.array(StringCodec.decode_input(given), dtype=object)
                feeds[given.name] = texts.reshape(given.shape)
            else:
                feeds[given.name] = NumpyCodec.decode_input(given)
        results = self._session.run(self._names, feeds)
        return InferenceResponse(
            model_name=self.name,
            outputs=[
                NumpyCodec.encode_output(name, result)
                for name, result in zip(self._names, results, strict=True)
            ],
        )
