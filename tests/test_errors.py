"""Every bad argument has its exception, whose message names the argument; and nothing was written to out by then."""
import numpy as np
import pytest
from checks import bits

import ndconv as nd

X = np.ones((2, 4, 8, 9), np.float32)
W = np.ones((6, 4, 3, 3), np.float32)
B = np.ones(6, np.float32)
DY = np.ones((2, 6, 6, 7), np.float32)
AT = np.zeros((2, 4, 4, 4), np.int64)
POOLED = np.ones((2, 4, 4, 4), np.float32)
BIG = 2**62


def conv(x=X, w=W, bias=None, **options):
    return lambda **out: nd.conv(x, w, bias, **options, **out)


def input_grad(dy=DY, w=W, x_shape=X.shape, **options):
    return lambda **out: nd.conv_input_grad(dy, w, x_shape, **options, **out)


def weight_grad(dy=DY, x=X, w_shape=W.shape, **options):
    return lambda **out: nd.conv_weight_grad(dy, x, w_shape, **options, **out)


def backward(dy=DY, x=X, w=W, **options):
    return lambda: nd.conv_backward(dy, x, w, **options)


def plan(x_shape=X.shape, w=W, bias=None, **options):
    return lambda: nd.plan_conv(x_shape, w, bias, **options)


def run_plan(x, **out):
    return lambda: nd.plan_conv(X.shape, W)(x, **out)


def max_pool(x=X, size=2, **options):
    return lambda **out: nd.max_pool(x, size, **options, **out)


def avg_pool(x=X, size=2, **options):
    return lambda **out: nd.avg_pool(x, size, **options, **out)


def max_back(dy=POOLED, indices=AT, x_shape=X.shape, size=2, **options):
    return lambda: nd.max_pool_backward(dy, indices, x_shape, size, **options)


def avg_back(dy=POOLED, x_shape=X.shape, size=2, **options):
    return lambda: nd.avg_pool_backward(dy, x_shape, size, **options)


def read_only(shape):
    out = np.zeros(shape, np.float32)
    out.setflags(write=False)
    return out


V, T, O = ValueError, TypeError, OverflowError  # noqa: E741

# (call, exception, what its message says)
CONV = [
    # x, w and bias
    (conv(x=None), T, r"\bx\b"),
    (conv(x="image"), T, r"\bx\b"),
    (conv(x=X.astype(np.int32)), T, r"\bx\b.*int32"),
    (conv(x=X.astype(np.float16)), T, r"\bx\b.*float16"),
    (conv(x=X.astype(np.longdouble)), T, r"\bx\b.*(longdouble|float128|float96|float80)"),
    (conv(x=X.astype(np.complex128)), T, r"\bx\b.*complex128"),
    (conv(x=X > 0), T, r"\bx\b.*bool"),
    (conv(x=X.astype(object)), T, r"\bx\b.*object"),
    (conv(x=X.astype("U3")), T, r"\bx\b.*str"),
    (conv(x=np.zeros(X.shape, "M8[s]")), T, r"\bx\b.*datetime"),
    (conv(x=np.zeros(X.shape, [("a", "f4")])), T, r"\bx\b.*void"),
    (conv(x=np.ones(4, np.float32)), V, r"\bx\b.*4,"),
    (conv(x=np.float32(3)), V, r"\bx\b"),
    (conv(x=X[0, 0]), V, r"\bx\b"),
    (conv(x=X[None]), V, r"\bx\b"),
    (conv(x=X[:, :3]), V, r"\bx\b.*3 channels.*4"),
    (conv(w=None), T, r"\bw\b"),
    (conv(w=W.astype(np.float64)), T, r"\bw\b.*float32.*float64"),
    (conv(w=W.astype(np.int8)), T, r"\bw\b.*int8"),
    (conv(w=W[0]), V, r"\b[xw]\b"),
    (conv(w=W[:, :, 0, 0]), V, r"\bw\b"),
    (conv(w=np.ones((6, 4, 1, 1, 1, 1), np.float32)), V, r"\bw\b"),
    (conv(w=W[:, :3]), V, r"\bw\b.*(3|4)"),
    (conv(w=W[:, :, :0]), V, r"\bw\b.*tap"),
    (conv(w=W[:, :, :, :0]), V, r"\bw\b.*tap"),
    (conv(bias=np.ones(5, np.float32)), V, r"bias.*6.*5"),
    (conv(bias=np.ones((6, 1), np.float32)), V, r"bias.*6"),
    (conv(bias=np.float32(1)), V, r"bias"),
    (conv(bias=np.ones(6)), T, r"bias.*float32.*float64"),
    (conv(bias="b"), T, r"bias"),
    # stride, dilation, padding, groups
    (conv(stride=0), V, r"stride.*0"),
    (conv(stride=-1), V, r"stride.*-1"),
    (conv(stride=(1, 0)), V, r"stride.*0"),
    (conv(stride=1.0), T, r"stride.*1\.0"),
    (conv(stride="2"), T, r"stride.*2"),
    (conv(stride=None), T, r"stride.*None"),
    (conv(stride=True), T, r"stride.*True"),
    (conv(stride=(1,)), V, r"stride.*2"),
    (conv(stride=(1, 2, 3)), V, r"stride.*3"),
    (conv(stride=()), V, r"stride"),
    (conv(stride=(1, "2")), T, r"stride"),
    (conv(stride=2**80), O, r"stride"),
    (conv(dilation=0), V, r"dilation.*0"),
    (conv(dilation=(2, -3)), V, r"dilation.*-3"),
    (conv(dilation=1.5), T, r"dilation.*1\.5"),
    (conv(dilation=[1, 1, 1]), V, r"dilation.*3"),
    (conv(dilation=BIG), O, r"dilation"),
    (conv(dilation=9), V, r"kernel.*padded input"),
    (conv(padding=0.5), T, r"padding.*0\.5"),
    (conv(padding=None), T, r"padding.*None"),
    (conv(padding="sme"), V, r"padding.*same.*sme"),
    (conv(padding="SAME"), V, r"padding.*same.*SAME"),
    (conv(padding=""), V, r"padding"),
    (conv(padding=(1,)), V, r"padding"),
    (conv(padding=(1, 2, 3)), V, r"padding.*3"),
    (conv(padding=((1, 2), (3,))), V, r"padding"),
    (conv(padding=((1, 2), (3, 4, 5))), V, r"padding"),
    (conv(padding=((1, 2.5), (3, 4))), T, r"padding.*2\.5"),
    (conv(padding=("same", 1)), T, r"padding.*same"),
    (conv(padding=-4), V, r"kernel.*padded input"),
    (conv(padding=((-9, 0), (0, 0))), V, r"kernel.*padded input"),
    (conv(padding=BIG), O, r"padding"),
    (conv(padding=-2**80), O, r"padding"),
    (conv(x=X[:, :, :2]), V, r"kernel.*padded input.*axis 0"),
    (conv(x=X[:, :, :, :2]), V, r"kernel.*padded input.*axis 1"),
    (conv(groups=0), V, r"groups.*0"),
    (conv(groups=-2), V, r"groups.*-2"),
    (conv(groups=2), V, r"groups=2"),
    (conv(groups=2.0), T, r"groups.*2\.0"),
    (conv(groups="1"), T, r"groups"),
    (conv(groups=None), T, r"groups"),
    (conv(x=X, w=np.ones((5, 2, 3, 3), np.float32), groups=2), V, r"groups=2.*5"),
    (conv(groups=2**70), V, r"groups|channels"),
    # what steers
    (conv(flip=2), T, r"flip"),
    (conv(flip="yes"), T, r"flip.*yes"),
    (conv(flip=None), T, r"flip"),
    (conv(layout="NCWH"), V, r"layout.*NCHW.*NCWH"),
    (conv(layout="NCW"), V, r"layout.*NCHW.*NCW"),
    (conv(layout="nhwc"), V, r"layout.*nhwc"),
    (conv(layout=3), T, r"layout.*3"),
    (conv(layout="NHWC"), V, r"\bx\b.*9 channels"),
    (conv(weight_layout="IOHW"), V, r"weight_layout.*HWIO"),
    (conv(weight_layout=5), (T, V), r"weight_layout"),
    (conv(method="winnograd"), V, r"method.*auto.*direct.*winnograd"),
    (conv(method=None), T, r"method"),
    (conv(method=""), V, r"method"),
    (conv(accuracy="exact"), V, r"accuracy.*strict.*exact"),
    (conv(accuracy=None), (V, T), r"accuracy"),
    (conv(workspace_limit=-1), V, r"workspace_limit.*-1"),
    (conv(workspace_limit=1e6), T, r"workspace_limit"),
    (conv(workspace_limit="1 MiB"), T, r"workspace_limit"),
    (conv(threads=0), V, r"threads.*0"),
    (conv(threads=-1), V, r"threads.*-1"),
    (conv(threads=2.5), T, r"threads"),
    (conv(threads="all"), T, r"threads"),
    (conv(threads=2**70), (V, O), r"threads"),
    (conv(method="fft", accuracy="strict"), nd.MethodNotApplicable, r"fft.*strict"),
    # out
    # activation and residual
    (conv(activation="swish"), V, r"activation.*relu.*silu.*clip.*swish"),
    (conv(activation=np.tanh), T, r"activation.*tanh.*ufunc"),
    (conv(activation=()), T, r"activation.*\(\)"),
    (conv(activation=3), T, r"activation.*3"),
    (conv(activation="clip"), V, r"'clip'.*low, high"),
    (conv(activation=("clip", 1)), V, r"'clip'.*low, high"),
    (conv(activation=("clip", 2, 1)), V, r"'clip'.*rising"),
    (conv(activation=("clip", 0, np.nan)), V, r"'clip'.*NaN"),
    (conv(activation=("clip", 0, "6")), T, r"'clip'.*numbers.*'6'"),
    (conv(activation=("relu", 6)), V, r"'relu'.*no numbers"),
    (conv(activation=("leaky_relu", 1, 2)), V, r"'leaky_relu'.*slope"),
    (conv(residual=np.zeros((2, 6, 6, 6), np.float32)), V, r"residual.*7.*6"),
    (conv(residual=np.zeros((6, 6, 7), np.float32)), V, r"residual.*2, 6, 6, 7"),
    (conv(residual=np.zeros((2, 6, 6, 7))), T, r"residual.*float32.*float64"),
    (conv(residual=0), T, r"residual.*float32.*int"),
    (conv(out=np.zeros((2, 6, 6, 6), np.float32)), V, r"out.*7.*6"),
    (conv(out=np.zeros((2, 6, 6, 7))), T, r"out.*float32.*float64"),
    (conv(out=np.zeros((2, 6, 6, 7), ">f4")), T, r"out"),
    (conv(out=read_only((2, 6, 6, 7))), V, r"out.*read-only"),
    (conv(out=np.zeros(DY.nbytes + 1, np.uint8)[1:].view(np.float32).reshape(DY.shape)), V, r"out.*aligned"),
    (conv(out=[[0]]), T, r"out.*list"),
    (conv(out=np.broadcast_to(np.float32(0), DY.shape)), V, r"out.*read-only"),
]
GRADIENTS = [
    (input_grad(dy=DY[:, :5]), V, r"dy.*6.*5"),
    (input_grad(dy=DY[:, :, 1:]), V, r"dy.*6.*5"),
    (input_grad(dy=DY[:1]), V, r"dy"),
    (input_grad(dy=DY.astype(np.int64)), T, r"dy.*int64"),
    (input_grad(dy=DY.astype(np.float64)), T, r"w.*float64.*float32|dy.*float64"),
    (input_grad(dy=None), T, r"dy"),
    (input_grad(x_shape=(2, 4, 8)), V, r"\bx\b.*2 channels|x_shape|dy"),
    (input_grad(x_shape=(2, 4, 8, -9)), V, r"x_shape.*-9"),
    (input_grad(x_shape=(2, 4, 8, 9.5)), T, r"x_shape.*9\.5"),
    (input_grad(x_shape=8), T, r"x_shape.*8"),
    (input_grad(x_shape="2489"), T, r"x_shape"),
    (input_grad(x_shape=(2, 4, 8, 2**70)), O, r"x\b|x_shape"),
    (input_grad(x_shape=(2, 3, 8, 9)), V, r"x\b.*3 channels"),
    (input_grad(stride=0), V, r"stride"),
    (input_grad(stride=2), V, r"dy"),
    (input_grad(method="best"), V, r"method"),
    (input_grad(out=np.zeros(3, np.float32)), V, r"out"),
    (input_grad(out=read_only(X.shape)), V, r"out.*read-only"),
    (weight_grad(dy=DY[:, :, :, 1:]), V, r"dy.*7.*6"),
    (weight_grad(dy=DY[0]), V, r"dy"),
    (weight_grad(x=X.astype(np.float64)), T, r"x.*float32.*float64"),
    (weight_grad(x=X[:1]), V, r"dy"),
    (weight_grad(x=X[0]), V, r"dy"),
    (weight_grad(w_shape=(6, 4, 3)), V, r"\bw\b|w_shape|x\b"),
    (weight_grad(w_shape=(6, 4, 0, 3)), V, r"\bw\b|w_shape"),
    (weight_grad(w_shape=(6, 4, 3, -3)), V, r"w_shape.*-3"),
    (weight_grad(w_shape=(6, 4, 3, "3")), T, r"w_shape"),
    (weight_grad(w_shape=None), T, r"w_shape"),
    (weight_grad(w_shape=(7, 4, 3, 3)), V, r"dy"),
    (weight_grad(groups=3), V, r"groups=3"),
    (weight_grad(padding="full"), V, r"dy"),
    (weight_grad(out=np.zeros(W.shape)), T, r"out.*float32.*float64"),
    (weight_grad(out=np.zeros(W.shape[::-1], np.float32)), V, r"out"),
    (weight_grad(out=read_only(W.shape)), V, r"out.*read-only"),
    (backward(wrt="weights"), V, r"wrt.*weights"),
    (backward(wrt=("x", "bias")), V, r"wrt.*bias"),
    (backward(wrt=None), (T, V), r"wrt"),
    (backward(wrt=3), (T, V), r"wrt"),
    (backward(dy=DY[0, 0], wrt=("b",)), V, r"dy"),
    (backward(dy=DY.astype(np.int16), wrt=("b",)), T, r"dy.*int16"),
    (backward(dy=DY[:, :4], wrt=("b",)), V, r"dy"),
    (backward(layout="NHCW", wrt=("b",)), V, r"layout"),
    (backward(stride=0, wrt=("b",)), V, r"stride"),
    (backward(wrt=("b",), threads=0), V, r"threads"),
    (plan(x_shape=(2, 4, 8)), V, r"x\b.*4 axes|x_shape|channels"),
    (plan(x_shape=(2, 4, -8, 9)), V, r"x_shape.*-8"),
    (plan(x_shape=None), T, r"x_shape"),
    (plan(dtype=np.float64), T, r"w.*float64.*float32"),
    (plan(dtype="int8"), T, r"int8"),
    (plan(dtype="no such"), T, r"dtype|\bx\b"),
    (plan(bias=np.ones(4, np.float32)), V, r"bias.*6.*4"),
    (plan(method="fft", workspace_limit=0), nd.MethodNotApplicable, r"fft.*workspace_limit"),
    (run_plan(X[:1]), V, r"\bx\b.*2.*1"),
    (run_plan(X[:, :, ::2]), V, r"\bx\b.*8.*4"),
    (run_plan(X.astype(np.float64)), T, r"\bx\b.*float32.*float64"),
    (run_plan(None), T, r"\bx\b"),
    (run_plan(X.astype(object)), T, r"\bx\b.*float32.*object"),
    (run_plan(np.zeros(X.shape, "M8[s]")), T, r"\bx\b.*datetime"),
    (run_plan(X, out=DY.astype(np.float64)), T, r"out.*float32.*float64"),
    (run_plan(X, out=DY[:1].copy()), V, r"out"),
    (lambda: nd.methods((2, 4, 8), W.shape), V, r"x\b"),
    (lambda: nd.methods(X.shape, W.shape, dtype=np.int32), T, r"dtype.*int32"),
    (lambda: nd.explain(X.shape, W.shape, method="quick"), V, r"method.*auto.*quick"),
    (lambda: nd.explain(X.shape, W.shape, accuracy="quick"), V, r"accuracy.*strict.*quick"),
]
POOLING = [
    (max_pool(x=X.astype(np.uint32)), T, r"\bx\b.*uint32"),
    (max_pool(x=None), T, r"\bx\b"),
    (max_pool(x=X[0, 0]), V, r"\bx\b|size"),
    (max_pool(x=np.ones((1, 2, 3, 4, 5, 6), np.float32)), V, r"\bx\b"),
    (max_pool(size=0), V, r"size.*0"),
    (max_pool(size=-2), V, r"size.*-2"),
    (max_pool(size=2.0), T, r"size.*2\.0"),
    (max_pool(size=None), T, r"size.*None"),
    (max_pool(size=()), V, r"size"),
    (max_pool(size=(2, 2, 2, 2)), V, r"size"),
    (max_pool(size=(2, 9, 3)), V, r"size|window|\bx\b"),
    (max_pool(size=10), V, r"(size|window|kernel).*(input|extent)"),
    (max_pool(stride=0), V, r"stride.*0"),
    (max_pool(stride=(1, -1)), V, r"stride.*-1"),
    (max_pool(stride=1.5), T, r"stride.*1\.5"),
    (max_pool(stride=(1, 1, 1)), V, r"stride.*3"),
    (max_pool(dilation=0), V, r"dilation.*0"),
    (max_pool(dilation=BIG), O, r"dilation"),
    (max_pool(dilation="2"), T, r"dilation"),
    (max_pool(padding="sam"), V, r"padding.*same.*sam"),
    (max_pool(padding=1.0), T, r"padding.*1\.0"),
    (max_pool(padding=(1, 2, 3)), V, r"padding.*3"),
    (max_pool(padding=BIG), O, r"padding"),
    (max_pool(ceil_mode="yes"), T, r"ceil_mode"),
    (max_pool(return_indices=True, index_dtype=np.float32), (T, V), r"index_dtype.*float32"),
    (max_pool(return_indices=True, index_dtype=np.int8), (T, V), r"index_dtype.*int8"),
    (max_pool(return_indices=True, index_dtype="what"), T, r"index_dtype"),
    (max_pool(layout="NCW"), V, r"layout.*NCHW.*NCW"),
    (max_pool(layout=1), T, r"layout"),
    (max_pool(threads=0), V, r"threads"),
    (max_pool(out=np.zeros((2, 4, 4, 5), np.float32)), V, r"out.*4"),
    (max_pool(out=np.zeros((2, 4, 4, 4))), T, r"out.*float32.*float64"),
    (max_pool(out=read_only((2, 4, 4, 4))), V, r"out.*read-only"),
    (max_pool(out=3), T, r"out"),
    (avg_pool(x=X.astype(np.complex64)), T, r"\bx\b.*complex64"),
    (avg_pool(size=0), V, r"size.*0"),
    (avg_pool(divisor=0), V, r"divisor.*0"),
    (avg_pool(divisor="3"), T, r"divisor"),
    (avg_pool(count_include_pad="no"), T, r"count_include_pad"),
    (avg_pool(stride=-1), V, r"stride.*-1"),
    (avg_pool(padding=None), T, r"padding"),
    (avg_pool(out=np.zeros((2, 4, 4, 5), np.float32)), V, r"out"),
    (avg_pool(out=read_only((2, 4, 4, 4))), V, r"out.*read-only"),
    (max_back(indices=AT[:, :, 1:]), V, r"indices"),
    (max_back(indices=AT.astype(np.float32)), T, r"indices.*float32"),
    (max_back(indices=AT + 72), V, r"indices.*72"),
    (max_back(indices=AT - 2), V, r"indices.*-2"),
    (max_back(indices=AT + 2**40), V, r"indices"),
    (max_back(indices=None), T, r"indices"),
    (max_back(dy=POOLED[:, :3]), V, r"dy"),
    (max_back(dy=POOLED.astype(np.int32)), T, r"dy.*int32"),
    (max_back(x_shape=(2, 4, 8, -9)), V, r"x_shape.*-9"),
    (max_back(x_shape=(2, 4, 8)), V, r"x_shape|dy|size"),
    (max_back(x_shape=(2, 4, 12, 9)), V, r"dy"),
    (max_back(size=3), V, r"dy"),
    (avg_back(dy=POOLED[:, :, :3]), V, r"dy"),
    (avg_back(dy=POOLED > 0), T, r"dy.*bool"),
    (avg_back(x_shape="shape"), T, r"x_shape"),
    (avg_back(x_shape=(2, 4, 8, 9.0)), T, r"x_shape.*9\.0"),
    (avg_back(size=4), V, r"dy"),
    (avg_back(divisor=0), V, r"divisor.*0"),
    (lambda: nd.min_pool(X, 2, stride=0), V, r"stride.*0"),
    (lambda: nd.lp_pool(X, 2, p=0), V, r"\bp\b.*positive.*0"),
    (lambda: nd.lp_pool(X, 2, p=np.nan), V, r"\bp\b.*nan"),
    (lambda: nd.lp_pool(X, 2, p="2"), T, r"\bp\b.*'2'"),
    (lambda: nd.lp_pool(X, 2, out=np.zeros((2, 4, 4, 5), np.float32)), V, r"out"),
    (lambda: nd.lp_pool_backward(POOLED, X, POOLED[:1], 2), V, r"\by\b"),
    (lambda: nd.lp_pool_backward(POOLED.astype(float), X, POOLED, 2), T, r"dy.*float32.*float64"),
    (lambda: nd.weighted_pool(X, [[1.0, -1.0]]), V, r"weights.*0"),
    (lambda: nd.weighted_pool(X, ["a"]), V, r"weights"),
    (lambda: nd.weighted_pool(X, np.ones((2, 2, 2, 2))), V, r"weights.*\(2, 2, 2, 2\)"),
    (lambda: nd.weighted_pool_backward(POOLED, (2, 4, 3, 3), np.ones((2, 2))), V, r"dy"),
    (lambda: nd.adaptive_pool(X, 0, "max"), V, r"output_size.*0"),
    (lambda: nd.adaptive_pool(X, (2, 2, 2, 2), "max"), V, r"output_size"),
    (lambda: nd.adaptive_pool(X, 2.0, "max"), T, r"output_size.*2\.0"),
    (lambda: nd.adaptive_pool(X, 2, "median"), V, r"kind.*median"),
    (lambda: nd.adaptive_pool(X[:, :, :0], 2, "max"), V, r"\bx\b"),
    (lambda: nd.adaptive_pool_backward(POOLED, X, 2, "avg"), V, r"dy"),
    (lambda: nd.spatial_pyramid_pool(X, 3, "max"), T, r"levels.*3"),
    (lambda: nd.spatial_pyramid_pool(X, (1, 0), "max"), V, r"levels.*0"),
    (lambda: nd.spatial_pyramid_pool_backward(POOLED, X, (1, 2), "max"), V, r"dy"),
    (lambda: nd.max_unpool(POOLED, AT + 72, X.shape), V, r"indices"),
    (lambda: nd.max_unpool(POOLED, AT, (2, 3, 8, 9)), V, r"\by\b.*x_shape"),
    (lambda: nd.max_unpool(POOLED[:1], AT, X.shape), V, r"indices"),
    (lambda: nd.max_unpool_backward(X, AT + 72), V, r"indices.*72"),
    (lambda: nd.upsample(X), V, r"scale.*size"),
    (lambda: nd.upsample(X, scale=2, size=3), V, r"scale.*size"),
    (lambda: nd.upsample(X, scale=-1), V, r"scale.*-1"),
    (lambda: nd.upsample(X, scale="2"), T, r"scale.*2"),
    (lambda: nd.upsample(X, scale=0.1), V, r"scale.*0\.1"),
    (lambda: nd.upsample(X, size=(1, 2, 3, 4)), V, r"size"),
    (lambda: nd.upsample(X, scale=2, mode="cubic"), V, r"mode.*cubic"),
    (lambda: nd.upsample(X, scale=2, align_corners=True), V, r"align_corners"),
    (lambda: nd.upsample(X, scale=2, mode="linear", align_corners=1), T, r"align_corners"),
    (lambda: nd.upsample_backward(POOLED, X.shape, scale=2), V, r"dy"),
    (lambda: nd.global_pool(X, "mean"), V, r"kind.*max.*avg.*mean"),
    (lambda: nd.global_pool(X, None), (T, V), r"kind"),
    (lambda: nd.global_pool(X.astype(int), "max"), T, r"\bx\b.*int"),
    (lambda: nd.global_pool(X[0, 0, 0], "max"), V, r"\bx\b"),
    (lambda: nd.global_pool(X[:, :, :0], "max"), V, r"\bx\b"),
    (lambda: nd.global_pool(X, "max", layout="NHCW"), V, r"layout"),
    (lambda: nd.global_pool_backward(X, X, "avg"), V, r"dy"),
    (lambda: nd.global_pool_backward(X[:, :, :1, :1], X, "mean"), V, r"kind"),
]
TABLE = [pytest.param(*row, id=f"{name}{i}") for name, rows in (("conv", CONV), ("gradient", GRADIENTS), ("pool", POOLING))
         for i, row in enumerate(rows)]


@pytest.mark.parametrize(("call", "error", "message"), TABLE)
def test_bad_argument(call, error, message):
    with pytest.raises(error, match=message) as caught:
        call()
    assert len(str(caught.value)) < 400 and "\n" not in str(caught.value), "one sentence"


# The function, its first arguments and the shape of its result where it takes an out.
TAKING_GEOMETRY = {
    "conv": (nd.conv, (X, W), DY.shape),
    "plan_conv": (nd.plan_conv, (X.shape, W), None),
    "explain": (nd.explain, (X.shape, W.shape), None),
    "methods": (nd.methods, (X.shape, W.shape), None),
    "conv_input_grad": (nd.conv_input_grad, (DY, W, X.shape), X.shape),
    "conv_weight_grad": (nd.conv_weight_grad, (DY, X, W.shape), W.shape),
    "conv_backward": (nd.conv_backward, (DY, X, W), None),
}
BAD_GEOMETRY = [
    (dict(stride=0), V), (dict(stride=(1, -1)), V), (dict(stride=1.5), T), (dict(stride="1"), T), (dict(stride=None), T),
    (dict(stride={1: 1, 2: 2}), T), (dict(stride=(1, 1, 1)), V), (dict(stride=2**70), O),
    (dict(dilation=0), V), (dict(dilation=(1, 1.5)), T), (dict(dilation=[1]), V), (dict(dilation=BIG), O),
    (dict(padding="sane"), V), (dict(padding=0.5), T), (dict(padding=None), T), (dict(padding=(1, 2, 3)), V),
    (dict(padding=((1, 2), "same")), T), (dict(padding=BIG), O), (dict(padding=((0, BIG // 2), (0, BIG // 2))), O),
    (dict(groups=0), V), (dict(groups=3), V), (dict(groups=1.5), T), (dict(groups=None), T),
    (dict(flip=2), T), (dict(flip="yes"), T), (dict(layout="NHCW"), V), (dict(layout=""), V), (dict(layout=1), T),
    (dict(method="magic"), V), (dict(method=None), T), (dict(accuracy="exact"), V), (dict(workspace_limit=-1), V),
    (dict(workspace_limit=1.5), T), (dict(threads=0), V), (dict(threads=1.5), T), (dict(threads="all"), T),
]


@pytest.mark.parametrize("name", TAKING_GEOMETRY)
@pytest.mark.parametrize(("wrong", "error"), BAD_GEOMETRY, ids=lambda wrong: str(wrong) if isinstance(wrong, dict) else "")
def test_every_function_checks_the_geometry(name, wrong, error):
    """The same mistake is the same error, naming the argument, wherever it is made; nothing is written to out before it."""
    function, arguments, shape = TAKING_GEOMETRY[name]
    out = {} if shape is None else dict(out=np.full(shape, 7, np.float32))
    with pytest.raises(error, match=rf"\b{next(iter(wrong))}|channels|too large"):
        function(*arguments, **wrong, **out)
    assert all((a == 7).all() for a in out.values())


@pytest.mark.parametrize("wrong", [dict(stride=0), dict(padding="sane"), dict(dilation=BIG), dict(threads=0), dict(layout="NHCW"),
                                   dict(ceil_mode=3)], ids=str)
@pytest.mark.parametrize("pool", (max_pool, avg_pool))
def test_pooling_checks_before_it_writes(wrong, pool):
    out = np.full(POOLED.shape, 7, np.float32)
    with pytest.raises((V, T, O), match=next(iter(wrong))):
        pool(**wrong, out=out)()
    assert (out == 7).all()


@pytest.mark.parametrize("wrong", [
    dict(stride=1.0), dict(stride=True), dict(dilation=1.0), dict(padding=0.0), dict(padding=False), dict(groups=1.0),
    dict(groups=True), dict(flip=0), dict(flip=0.0), dict(stride=(1.0, 1.0)), dict(padding=((0, 0), (0, False)))], ids=str)
def test_equal_is_not_the_same_kind(wrong):
    """1.0 == 1 == True, also as keys of a cache; a call that went well before does not let them through."""
    nd.conv(X, W)
    with pytest.raises(TypeError, match=next(iter(wrong))):
        nd.conv(X, W, **wrong)


def test_a_failed_call_leaves_nothing_behind():
    before = bits(nd.conv(X, W))
    for call, error, _ in CONV:
        with pytest.raises(error):
            call()
    assert bits(nd.conv(X, W)) == before


def test_unknown_keyword_is_named():
    for call in (lambda: nd.conv(X, W, strides=2), lambda: nd.conv2d(X, W, strides=2), lambda: nd.max_pool(X, 2, strides=2),
                 lambda: nd.plan_conv(X.shape, W, strides=2), lambda: nd.methods(X.shape, W.shape, strides=2),
                 lambda: nd.conv_backward(DY, X, W, strides=2)):
        with pytest.raises(TypeError, match="strides"):
            call()
