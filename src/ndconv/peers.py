"""Other libraries on the same problems, for `ndconv bench --against`.

Each function takes (case, arrays, threads), arrays having x, w and dy in NCHW order, and returns a callable without
arguments that gives the result as an array, or None where its library has no such operation. Sessions are built and
weights converted once, outside what is timed, as `ndconv.plan_conv` prepares its own. All use the same number of threads.
"""
import importlib.util
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ndconv.bench_cases import GREY


class Peer(NamedTuple):
    """The modules that a library needs, what it can do, and on which dtypes and numbers of spatial axes."""

    modules: tuple
    forward: Callable
    gradient: Callable | None = None
    pool: Callable | None = None
    dtypes: tuple = ("float32",)
    ranks: tuple = (2,)

    @property
    def missing(self):
        return [name for name in self.modules if importlib.util.find_spec(name) is None]

    def prepare(self, case, arrays, threads):
        function = self.forward if case.op == "forward" else self.pool if case.is_pool else self.gradient
        if function is None or arrays["x"].dtype.name not in self.dtypes or case.rank not in self.ranks:
            return None
        return function(case, arrays, threads)


def _torch(threads):
    import torch
    torch.set_num_threads(threads)
    return torch


def torch_forward(case, arrays, threads):
    torch = _torch(threads)
    x, w = torch.from_numpy(arrays["x"]), torch.from_numpy(arrays["w"])
    conv = getattr(torch.nn.functional, f"conv{case.rank}d")

    def run():
        with torch.inference_mode():
            return conv(x, w, None, **case.geometry).numpy()
    return run


def torch_gradient(case, arrays, threads):
    torch = _torch(threads)
    dy, x, w = (torch.from_numpy(arrays[name]) for name in ("dy", "x", "w"))
    stride, padding, dilation = ([value] * case.rank for value in (case.stride, case.padding, case.dilation))
    which = ("input_grad", "weight_grad").index(case.op)
    mask = [which == 0, which == 1, False]

    def run():
        with torch.inference_mode():
            return torch.ops.aten.convolution_backward(dy, x, w, None, stride, padding, dilation, False, [0, 0], case.groups,
                                                       mask)[which].numpy()
    return run


def torch_pool(case, arrays, threads):
    torch = _torch(threads)
    x = torch.from_numpy(arrays["x"])

    def run():
        with torch.inference_mode():
            if case.op == "avg_pool":
                return torch.nn.functional.avg_pool2d(x, case.k, case.stride, case.padding).numpy()
            if case.op == "max_pool":
                return torch.nn.functional.max_pool2d(x, case.k, case.stride, case.padding).numpy()
            return torch.nn.functional.max_pool2d(x, case.k, case.stride, case.padding, return_indices=True)[1].numpy()
    return run


def _onnx_session(case, arrays, threads, operator, inputs, weights=(), **attributes):
    import onnx
    import onnxruntime
    from onnx import helper
    rank = case.rank
    node = helper.make_node(operator, inputs, ["y"], kernel_shape=[case.k] * rank, strides=[case.stride] * rank,
                            pads=[case.padding] * 2 * rank, dilations=[case.dilation] * rank, **attributes)
    value = helper.make_tensor_value_info
    graph = helper.make_graph([node], "one", [value("x", onnx.TensorProto.FLOAT, case.x_shape)],
                              [value("y", onnx.TensorProto.FLOAT, case.y_shape)], weights)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 19)], ir_version=9)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = threads, 3
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return lambda: session.run(None, {"x": arrays["x"]})[0]


def onnxruntime_forward(case, arrays, threads):
    from onnx import numpy_helper
    weights = [numpy_helper.from_array(arrays["w"], "w")]
    return _onnx_session(case, arrays, threads, "Conv", ["x", "w"], weights, group=case.groups)


def onnxruntime_pool(case, arrays, threads):
    if case.op == "max_pool_indices":
        return None
    attributes = {"count_include_pad": 1} if case.op == "avg_pool" else {}
    return _onnx_session(case, arrays, threads, "AveragePool" if attributes else "MaxPool", ["x"], **attributes)


def _openvino_request(arrays, threads, x, result):
    import openvino
    model = openvino.Core().compile_model(openvino.Model([result], [x]), "CPU", {
        "INFERENCE_NUM_THREADS": threads, "PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": "f32"})
    request = model.create_infer_request()
    request.set_input_tensor(openvino.Tensor(arrays["x"], shared_memory=True))

    def run():
        request.infer()
        return request.get_output_tensor().data
    return run


def openvino_forward(case, arrays, threads):
    from openvino import opset13 as ops
    x, w = ops.parameter(case.x_shape, np.float32), arrays["w"]
    window = [[value] * case.rank for value in (case.stride, case.padding, case.padding, case.dilation)]
    if case.groups == 1:
        return _openvino_request(arrays, threads, x, ops.convolution(x, ops.constant(w), *window))
    grouped = w.reshape(case.groups, -1, *w.shape[1:])
    return _openvino_request(arrays, threads, x, ops.group_convolution(x, ops.constant(grouped), *window))


def openvino_pool(case, arrays, threads):
    from openvino import opset13 as ops
    if case.op == "max_pool_indices":
        return None
    x = ops.parameter(case.x_shape, np.float32)
    stride, pads, size = [case.stride] * 2, [case.padding] * 2, [case.k] * 2
    if case.op == "avg_pool":
        return _openvino_request(arrays, threads, x, ops.avg_pool(x, stride, pads, pads, size, exclude_pad=False))
    return _openvino_request(arrays, threads, x, ops.max_pool(x, stride, [1, 1], pads, pads, size).output(0))


def ncnn_forward(case, arrays, threads):
    import ncnn
    if case.n != 1:
        return None
    layer, groups = ("ConvolutionDepthWise", f" 7={case.groups}") if case.groups > 1 else ("Convolution", "")
    network = ncnn.Net()
    options = network.opt
    options.num_threads, options.use_vulkan_compute = threads, False
    options.use_fp16_packed = options.use_fp16_storage = options.use_fp16_arithmetic = options.use_bf16_storage = False
    with tempfile.TemporaryDirectory() as folder:
        structure, weights = Path(folder, "net.param"), Path(folder, "net.bin")
        structure.write_text(
            f"7767517\n2 2\nInput in 0 1 in\n{layer} conv 1 1 in out 0={case.oc} 1={case.k} 2={case.dilation} 3={case.stride} "
            f"4={case.padding} 5=0 6={arrays['w'].size}{groups}\n")
        weights.write_bytes(b"\0\0\0\0" + arrays["w"].tobytes())
        network.load_param(str(structure))
        network.load_model(str(weights))
    x = ncnn.Mat(arrays["x"][0])

    def run():
        extractor = network.create_extractor()
        extractor.input("in", x)
        return np.array(extractor.extract("out")[1], copy=False)[None]
    return run


def opencv_forward(case, arrays, threads):
    """filter2D has no stride: it takes part where that is 1, on one channel."""
    import cv2
    if case.section != GREY or case.stride != 1:
        return None
    cv2.setNumThreads(threads)
    x, w = arrays["x"][0, 0], arrays["w"][0, 0]
    return lambda: cv2.filter2D(x, -1, w, borderType=cv2.BORDER_CONSTANT)[None, None]


def scipy_forward(case, arrays, threads):
    """The faster kind of scipy.signal's convolution by FFT; one channel, stride 1."""
    import scipy.fft
    import scipy.signal
    if case.section != GREY or case.stride != 1:
        return None
    x, w = arrays["x"][0, 0], np.ascontiguousarray(arrays["w"][0, 0, ::-1, ::-1])

    def run():
        with scipy.fft.set_workers(threads):
            return scipy.signal.oaconvolve(x, w, mode="same")[None, None]
    return run


BOTH = ("float32", "float64")
PEERS = {
    "torch": Peer(("torch",), torch_forward, torch_gradient, torch_pool, BOTH, ranks=(1, 2, 3)),
    "onnxruntime": Peer(("onnx", "onnxruntime"), onnxruntime_forward, pool=onnxruntime_pool, ranks=(1, 2, 3)),
    "openvino": Peer(("openvino",), openvino_forward, pool=openvino_pool, ranks=(1, 2, 3)),
    "ncnn": Peer(("ncnn",), ncnn_forward),
    "opencv": Peer(("cv2",), opencv_forward, dtypes=BOTH),
    "scipy": Peer(("scipy",), scipy_forward, dtypes=BOTH),
}
