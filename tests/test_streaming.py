"""Streams: chunks of any lengths give the bits of one call on the whole signal."""
import numpy as np
import pytest
from cases import draw, to_layout
from checks import bits
from hypothesis import given, settings
from hypothesis import strategies as st
from test_properties import drawn

import ndconv as nd
from ndconv.streaming import STEADY

drawn = settings(drawn, max_examples=60)


def stream_and_whole(dtype, groups, ic, oc, k, layout, method="auto", length=90, **options):
    """A stream, the signal, and its results in one call by the stream's method."""
    x = to_layout(draw("signal", (2, groups * ic, length), dtype), layout)
    w, b = draw("weights", (groups * oc, ic, k), dtype), draw("bias", (groups * oc,), dtype)
    options |= dict(groups=groups, layout=layout)
    stream = nd.ConvStream(w, b, method=method, **options)
    return stream, x, nd.conv(x, w, b, padding="causal", method=stream.method, **options)


def chunks_of(x, cuts, axis):
    return np.split(x, sorted(min(cut, x.shape[axis]) for cut in cuts), axis)


@pytest.mark.parametrize("isa", nd.isas())
@drawn
@given(data=st.data(), dtype=st.sampled_from(("float32", "float64")), groups=st.integers(1, 3), ic=st.integers(1, 9),
       oc=st.integers(1, 9), k=st.integers(1, 12), stride=st.integers(1, 5), dilation=st.integers(1, 3),
       layout=st.sampled_from(("NCW", "NWC")), method=st.sampled_from(("auto", *STEADY)), flip=st.booleans(),
       activation=st.sampled_from((None, "tanh")))
def test_any_chunks(isa, data, dtype, groups, ic, oc, k, stride, dilation, layout, method, flip, activation):
    before, axis = nd.get_isa(), layout.index("W")
    nd.set_isa(isa)
    try:
        stream, x, whole = stream_and_whole(dtype, groups, ic, oc, k, layout, method, stride=stride, dilation=dilation, flip=flip,
                                            activation=activation)
        parts = [stream(chunk) for chunk in chunks_of(x, data.draw(st.lists(st.integers(0, x.shape[axis]), max_size=12)), axis)]
    finally:
        nd.set_isa(before)
    assert bits(np.concatenate(parts, axis)) == bits(whole)


@pytest.mark.parametrize("method", STEADY)
@pytest.mark.parametrize("layout", ("NCW", "NWC"))
@pytest.mark.parametrize(("ic", "oc", "k", "stride"), [(17, 17, 129, 1), (300, 16, 5, 2), (1, 1, 1025, 1), (3, 2, 700, 3)])
def test_long_sums_and_rows(method, layout, ic, oc, k, stride):
    """Sums and rows beyond one block of any method: the order of a sum must not depend on the row it lies in."""
    stream, x, whole = stream_and_whole("float32", 1, ic, oc, k, layout, method, length=2000, stride=stride)
    axis = layout.index("W")
    parts = [stream(chunk) for chunk in chunks_of(x, (1, 2, 40, 300, 301, 307, 1200), axis)]
    assert bits(np.concatenate(parts, axis)) == bits(whole)


def test_sample_by_sample_without_a_batch():
    stream, x, whole = stream_and_whole("float64", 1, 2, 3, 4, "NCW", length=11, stride=2)
    parts = [stream(x[0, :, i:i + 1]) for i in range(11)]
    assert [part.shape[1] for part in parts] == [1, 0] * 5 + [1]
    assert bits(np.concatenate(parts, 1)) == bits(whole[0])


def test_a_copy_goes_its_own_way_and_reset_begins_again():
    stream, x, whole = stream_and_whole("float64", 1, 2, 3, 4, "NCW")
    first = stream(x[..., :50])
    twin = stream.copy()
    stream(-x[..., 50:70])
    assert bits(np.concatenate([first, twin(x[..., 50:])], 2)) == bits(whole)
    stream.reset()
    assert bits(stream(x)) == bits(whole)


def test_the_state_is_as_long_as_the_kernel_and_weights_are_its_own():
    w = np.ones((1, 1, 5))
    stream = nd.ConvStream(w, dilation=3)
    chunk = np.ones((1, 1, 1000))
    stream(chunk)
    w[...] = chunk[...] = 0
    assert stream._held.nbytes == 12 * 8 and stream._held.base is None
    assert (stream(np.ones((1, 1, 4))) == 5).all()


@pytest.mark.parametrize(("arguments", "error", "message"), [
    (dict(method="fft"), nd.MethodNotApplicable, "takes 'auto', 'direct' or 'depthwise'"),
    (dict(method="speed"), ValueError, "method must be"),
    (dict(stride=0), ValueError, "stride must be at least 1"),
    (dict(layout="NHWC"), ValueError, "layout must be 'NCW' or 'NWC'"),
    (dict(bias=np.ones(2)), ValueError, "bias must have shape"),
    (dict(activation="gelu2"), ValueError, "activation must be"),
    (dict(w=np.ones((1, 1, 3, 3))), ValueError, "one spatial axis"),
])
def test_errors(arguments, error, message):
    with pytest.raises(error, match=message):
        nd.ConvStream(**dict(w=np.ones((1, 1, 3))) | arguments)


def test_a_chunk_that_is_refused_changes_nothing():
    stream, x, whole = stream_and_whole("float64", 1, 2, 3, 4, "NCW")
    first = stream(x[..., :5])
    for wrong, error in ((x[:1, :, :5], ValueError), (x[:, :1, :5], ValueError), (x[0], ValueError), (x[0, 0], ValueError),
                         (x.astype("float32"), TypeError)):
        with pytest.raises(error, match="a chunk must"):
            stream(wrong)
    assert bits(np.concatenate([first, stream(x[..., 5:])], 2)) == bits(whole)
