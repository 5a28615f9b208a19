"""Streaming: a causal convolution of a signal that arrives in pieces.

What is kept between two pieces are the last dilation*(k - 1) samples, fewer or more by the phase of a stride. A piece is put
behind them and convolved without padding, by a plan for that length. For the result to have the bits of one call on the whole
signal, whatever the pieces, a sum must have the same order wherever it lies in an array of any length. The methods of `STEADY`
sum in an order that the weights' shape alone fixes; gemm cuts its sums by what the vectors hold, which depends on the length
of a row, and tiles of winograd and fft lie where the array begins.
"""
import copy
from functools import lru_cache

import numpy as np

from ndconv._runtime import get_num_threads
from ndconv.activation import resolve_activation
from ndconv.arguments import check_bias, kernel_first
from ndconv.plan import check_dtype, check_options, make_problem
from ndconv.prepare import plan_conv
from ndconv.problem import channels_axis, check_int, per_axis
from ndconv.select import MethodNotApplicable, explain_problem

STEADY = ("direct", "depthwise")
TYPICAL = 1024   # results of the piece for which a method is chosen
PLANS = 8        # lengths of pieces whose plans are kept


class ConvStream:
    """A causal 1-D convolution of a signal that arrives in chunks: call it with one after the other.

    ``y[n, o, i] = activation(bias[o] + sum over c, t of x[n, c, i*stride - (k - 1 - t)*dilation] * w[o, c, t])`` where x is the
    signal of all chunks so far, zero before its beginning. Together the results are those of ``conv(x, w, bias,
    padding="causal", method=stream.method, ...)`` on the whole signal, bit for bit, however it was cut.

    Called with a chunk, shape (n, ic, length) or (ic, length), in layout "NWC" (n, length, ic) or (length, ic), of any length
    (0 and 1 too) and w's dtype, it returns the results that the chunk completes: after t samples ceil(t / stride) in all. The
    first chunk says what n is. A chunk that is refused (ValueError, TypeError) changes nothing. Plans for a few lengths are
    kept: chunks of one length cost least. A stream is for one thread at a time.

    Parameters
    ----------
    w : array, shape (oc, ic/groups, k), float32 or float64; the stream keeps a copy
    method : "auto", "direct" or "depthwise"
        Others raise MethodNotApplicable: the order of their sums depends on where in an array a result lies.
    bias, stride, dilation, groups, flip, layout, weight_layout, activation, threads : as in `conv`

    Attributes
    ----------
    method : the one that runs, chosen once

    Examples
    --------
    >>> stream = ConvStream(np.array([[[1.0, 10.0, 100.0]]]))
    >>> stream(np.array([[[1.0, 2.0]]])), stream(np.array([[[3.0]]]))
    (array([[[100., 210.]]]), array([[[321.]]]))
    >>> stream.reset()
    >>> stream(np.array([[[3.0]]]))
    array([[[300.]]])
    """

    def __init__(self, w, bias=None, *, stride=1, dilation=1, groups=1, flip=False, layout=None, weight_layout=None,
                 activation=None, method="auto", threads=None):
        w = np.array(w)
        if w.ndim != 3:
            raise ValueError(f"w must have 3 axes, (oc, ic/groups, k), since a stream has one spatial axis; got shape {w.shape}")
        if weight_layout is not None:
            w = kernel_first(w, weight_layout)
        self._dtype = check_dtype(w.dtype, "w")
        bias = None if bias is None else check_bias(bias, w.shape[0], self._dtype).copy()
        resolve_activation(activation)
        self._stride = per_axis(stride, 1, "stride", 1)[0]
        self._reach = per_axis(dilation, 1, "dilation", 1)[0] * (w.shape[2] - 1) + 1
        self._axis, self._oc = (1 if channels_axis(layout, 1) == -1 else 2), w.shape[0]
        self._channels = w.shape[1] * check_int(groups, "groups")
        geometry = dict(stride=stride, dilation=dilation, groups=groups, flip=flip, layout=layout)
        problem = make_problem("forward", self._shape((1,), self._reach + (TYPICAL - 1) * self._stride), w.shape, self._dtype,
                               padding=0, **geometry)[0]
        check_options(method, threads=threads)
        self.method = _choose(problem, method, threads)
        options = geometry | dict(activation=activation, method=self.method, threads=threads)
        self._plan = lru_cache(maxsize=PLANS)(lambda x_shape: plan_conv(x_shape, w, bias, **options))
        self.reset()

    def reset(self):
        """Forget the signal: the next chunk is the first of another one."""
        self._held, self._skip = None, 0

    def copy(self):
        """A stream in the same state, which goes its own way from here; the two share their plans."""
        return copy.copy(self)

    def __call__(self, chunk):
        """The results that `chunk` completes, whose number may be 0."""
        chunk = np.asarray(chunk)
        held = self._held
        if held is None:
            held = np.zeros(self._shape(chunk.shape[:chunk.ndim - 2], self._reach - 1), self._dtype)
        axis = self._axis + held.ndim - 3
        self._check(chunk, held, axis)
        skip = min(self._skip, chunk.shape[axis])
        x = np.concatenate((held, _after(chunk, skip, axis)), axis)
        size = x.shape[axis]
        count = max((size - self._reach) // self._stride + 1, 0)
        y = self._plan(x.shape)(x) if count else np.empty(self._shape(x.shape[:-2], 0, self._oc), self._dtype)
        # the next window begins at `start` of x, or that far beyond its end
        start = count * self._stride
        self._held = _after(x, start, axis).copy()
        self._skip += max(start - size, 0) - skip
        return y

    def _shape(self, batch, length, channels=None):
        """Of an array of the signal, or of results."""
        pair = (self._channels if channels is None else channels, length)
        return (*batch, *(pair if self._axis == 2 else pair[::-1]))

    def _check(self, chunk, held, axis):
        wanted = held.shape[:axis] + chunk.shape[axis:axis + 1] + held.shape[axis + 1:]
        if chunk.ndim not in (2, 3) or chunk.shape != wanted:
            text = ", ".join("length" if i == axis else str(s) for i, s in enumerate(held.shape))
            raise ValueError(f"a chunk must have shape ({text}), or with a batch (n, {text}); got {chunk.shape}"
                             if held.ndim == 2 and self._held is None else f"a chunk must have shape ({text}); got {chunk.shape}")
        if check_dtype(chunk.dtype, "a chunk") != self._dtype:
            raise TypeError(f"a chunk must be {self._dtype} as w is; got {chunk.dtype}")

    def __repr__(self):
        return f"<ndconv stream: {self._oc} channels by {self.method}>"


def _after(x, start, axis):
    """x from `start` of an axis on."""
    return x[(slice(None),) * axis + (slice(start, None),)]


def _choose(problem, method, threads):
    """The name of the cheapest method whose sums do not depend on position; they can do any problem."""
    if method not in ("auto", *STEADY):
        raise MethodNotApplicable(f"method {method!r} is not applicable: its sums depend on where in an array a result lies; "
                                  f"a stream takes 'auto', {' or '.join(map(repr, STEADY))}")
    rows = explain_problem(problem, workspace_limit=2**63, threads=threads or get_num_threads()).rows
    return min((row for row in rows if row.method in STEADY and method in ("auto", row.method)), key=lambda row: row.cost).method
