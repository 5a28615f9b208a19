"""ndconv: N-dimensional convolution and pooling for NumPy at the speed of the machine."""
from ndconv import filters
from ndconv.adaptive import (
    adaptive_pool,
    adaptive_pool_backward,
    global_pool,
    global_pool_backward,
    spatial_pyramid_pool,
    spatial_pyramid_pool_backward,
)
from ndconv.choices import choices
from ndconv.columns import col2im, im2col
from ndconv.conv import conv, conv1d, conv2d, conv3d
from ndconv.count import count_flops, count_parameters, output_shape, receptive_field
from ndconv.gradient import Gradients, conv_backward, conv_input_grad, conv_weight_grad
from ndconv.local import local_conv, local_conv_backward
from ndconv.lp import lp_pool, lp_pool_backward
from ndconv.machine import calibrate
from ndconv.match import match_template
from ndconv.plan import Plan
from ndconv.pool import avg_pool, avg_pool_backward, max_pool, max_pool_backward, min_pool
from ndconv.pool_tune import explain_pool, tune_pool
from ndconv.prepare import explain, methods, plan_conv
from ndconv.resize import max_unpool, max_unpool_backward, upsample, upsample_backward
from ndconv.runtime import clear_caches, get_isa, get_num_threads, isas, num_threads, set_isa, set_num_threads, show_config
from ndconv.select import MethodNotApplicable
from ndconv.signal import convolve, correlate
from ndconv.sparse import conv_matrix, conv_operator
from ndconv.streaming import ConvStream
from ndconv.tiled import tiled_conv, tiled_conv_backward
from ndconv.transpose import conv_transpose, conv_transpose_backward, plan_conv_transpose
from ndconv.tune import tune
from ndconv.weighted import weighted_pool, weighted_pool_backward

__all__ = [
    "ConvStream", "Gradients", "MethodNotApplicable", "Plan", "adaptive_pool", "adaptive_pool_backward", "avg_pool",
    "avg_pool_backward", "calibrate", "choices", "clear_caches", "col2im", "conv", "conv1d", "conv2d", "conv3d",
    "conv_backward", "conv_input_grad", "conv_matrix", "conv_operator", "conv_transpose", "conv_transpose_backward",
    "conv_weight_grad", "convolve", "correlate", "count_flops", "count_parameters", "explain", "explain_pool", "filters",
    "get_isa", "get_num_threads", "global_pool", "global_pool_backward", "im2col", "isas", "local_conv", "local_conv_backward",
    "lp_pool", "lp_pool_backward", "match_template", "max_pool", "max_pool_backward", "max_unpool", "max_unpool_backward",
    "methods", "min_pool", "num_threads", "output_shape", "plan_conv", "plan_conv_transpose", "receptive_field", "set_isa",
    "set_num_threads", "show_config", "spatial_pyramid_pool", "spatial_pyramid_pool_backward", "tiled_conv",
    "tiled_conv_backward", "tune", "tune_pool", "upsample", "upsample_backward", "weighted_pool", "weighted_pool_backward",
]


def __getattr__(name):
    """The version, looked up when it is asked for: importlib.metadata takes longer to import than all of the rest."""
    if name != "__version__":
        raise AttributeError(f"module 'ndconv' has no attribute {name!r}")
    from importlib.metadata import PackageNotFoundError, version
    try:
        return version("ndconv")
    except PackageNotFoundError:  # imported from a source tree
        return "0+source"
