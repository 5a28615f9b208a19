"""What `ndconv bench` times: a photograph, layers of well-known networks, their gradients, and pooling. Plain data, which
the suites in benchmarks/ walk as well."""
import dataclasses
import math
from dataclasses import dataclass

from ndconv.sample import HEIGHT, WIDTH

KERNELS = (1, 3, 5, 7, 11, 15, 21, 31)
KERNELS_QUICK = (1, 3, 7, 15, 31)
KERNELS_FULL = tuple(range(1, 32, 2))
STRIDES = (1, 2, 4)

GRADIENTS = {"input_grad": "dx", "weight_grad": "dw"}
POOLING = {"max_pool": "max", "max_pool_indices": "argmax", "avg_pool": "avg"}


@dataclass(frozen=True)
class Case:
    """One row: a kernel or window of k elements an axis on n images, signals or volumes of ic channels.

    op is "forward", a gradient or a kind of pooling; stride, padding and dilation are the same on every axis.
    """

    section: str
    name: str
    n: int
    ic: int
    size: tuple
    oc: int
    k: int
    stride: int = 1
    padding: int = 0
    dilation: int = 1
    groups: int = 1
    op: str = "forward"

    @property
    def geometry(self):
        """The keyword arguments of the convolutions."""
        return {"stride": self.stride, "padding": self.padding, "dilation": self.dilation, "groups": self.groups}

    @property
    def rank(self):
        return len(self.size)

    @property
    def x_shape(self):
        return (self.n, self.ic, *self.size)

    @property
    def w_shape(self):
        return (self.oc, self.ic // self.groups, *(self.k,) * self.rank)

    @property
    def y_shape(self):
        reach = self.dilation * (self.k - 1) + 1
        return (self.n, self.oc, *((size + 2 * self.padding - reach) // self.stride + 1 for size in self.size))

    @property
    def is_pool(self):
        return self.op in POOLING

    @property
    def flops(self):
        """Multiplications and additions of a direct convolution, whatever the method spends."""
        return 2 * math.prod(self.y_shape) * math.prod(self.w_shape[1:])

    @property
    def is_bound_by_memory(self):
        """Pooling, and depthwise convolutions that multiply little."""
        return self.is_pool or (self.op == "forward" and 1 < self.groups == self.ic and self.k == 3)

    def moved(self, itemsize):
        """Bytes of x and y, which are read and written at the least; an index takes 8."""
        indices = 8 if self.op == "max_pool_indices" else 0
        return math.prod(self.x_shape) * itemsize + math.prod(self.y_shape) * (itemsize + indices)


GREY, RGB = "photograph, grey, one filter", "photograph, RGB, 16 filters"
PHOTOGRAPHS = {GREY: ("grey", 1, 1), RGB: ("rgb", 3, 16)}  # section: name, ic, oc


def photographs(kernels):
    """Every kernel size at every stride on the sample photograph, padded so that stride 1 keeps its size."""
    return [Case(section, f"{name}.k{k}s{stride}", 1, ic, (HEIGHT, WIDTH), oc, k, stride, k // 2)
            for section, (name, ic, oc) in PHOTOGRAPHS.items() for k in kernels for stride in STRIDES]


def _layer(name, ic, size, oc, k, stride=1, padding=None, dilation=1, groups=1, n=1):
    size = (size, size) if isinstance(size, int) else size
    padding = dilation * (k // 2) if padding is None else padding
    return Case("layers", name, n, ic, size, oc, k, stride, padding, dilation, groups)


LAYERS = (
    _layer("resnet50.stem7x7s2", 3, 224, 64, 7, 2),
    _layer("resnet50.c2.1x1", 64, 56, 256, 1),
    _layer("resnet50.c2.3x3", 64, 56, 64, 3),
    _layer("resnet50.c3.3x3s2", 128, 56, 128, 3, 2),
    _layer("resnet50.c3.3x3", 128, 28, 128, 3),
    _layer("resnet50.c4.1x1s2", 512, 28, 1024, 1, 2),
    _layer("resnet50.c4.3x3", 256, 14, 256, 3),
    _layer("resnet50.c5.3x3", 512, 7, 512, 3),
    _layer("resnet50.c5.1x1", 512, 7, 2048, 1),
    _layer("resnet50.c2.3x3.n16", 64, 56, 64, 3, n=16),
    _layer("resnet50.c4.1x1.n16", 1024, 14, 256, 1, n=16),
    _layer("vgg16.1_1", 3, 224, 64, 3),
    _layer("vgg16.1_2", 64, 224, 64, 3),
    _layer("vgg16.2_2", 128, 112, 128, 3),
    _layer("vgg16.3_2", 256, 56, 256, 3),
    _layer("vgg16.4_2", 512, 28, 512, 3),
    _layer("vgg16.5_2", 512, 14, 512, 3),
    _layer("mobilenet.stem3x3s2", 3, 224, 32, 3, 2),
    _layer("mobilenet.dw3x3", 32, 112, 32, 3, groups=32),
    _layer("mobilenet.dw3x3s2", 96, 112, 96, 3, 2, groups=96),
    _layer("mobilenet.expand1x1", 16, 112, 96, 1),
    _layer("mobilenet.1x1", 96, 56, 24, 1),
    _layer("mobilenet.dw3x3.14", 384, 14, 384, 3, groups=384),
    _layer("mobilenet.head1x1", 320, 7, 1280, 1),
    _layer("mobilenet.dw5x5", 240, 28, 240, 5, groups=240),
    _layer("unet.e1.3x3", 64, 128, 64, 3),
    _layer("unet.e3.3x3", 256, 32, 256, 3),
    _layer("unet.mid.3x3", 512, 8, 1024, 3),
    _layer("unet.d3.3x3", 512, 32, 256, 3),
    _layer("unet.d1.3x3", 128, 128, 64, 3),
    _layer("convnext.dw7x7", 96, 56, 96, 7, groups=96),
    _layer("replknet.dw31x31", 256, 28, 256, 31, groups=256),
    _layer("resnext50.3x3g32", 256, 28, 256, 3, groups=32),
    _layer("alexnet.11x11s4", 3, 227, 96, 11, 4, 0),
    _layer("inception.5x5", 32, 28, 96, 5),
    _layer("deeplab.3x3d2", 256, 33, 256, 3, dilation=2),
    _layer("deeplab.3x3d12", 256, 33, 256, 3, dilation=12),
    _layer("cifar.3x3.n32", 32, 32, 32, 3, n=32),
    _layer("lenet.5x5.n128", 1, 28, 16, 5, n=128),
    _layer("large.7x7", 64, 56, 64, 7),
    _layer("large.11x11", 64, 56, 64, 11),
    _layer("large.15x15", 32, 64, 32, 15),
    _layer("large.31x31", 16, 128, 16, 31),
    _layer("signal.k129", 1, (480000,), 1, 129),
    _layer("wavenet.k3d64", 64, (16000,), 64, 3, dilation=64),
    _layer("whisper.k3", 80, (3000,), 512, 3),
    _layer("volume.3x3x3", 32, (32, 32, 32), 32, 3),
    _layer("volume.stem", 3, (32, 32, 32), 64, 3),
)
LAYERS_QUICK = ("resnet50.stem7x7s2", "resnet50.c2.1x1", "resnet50.c2.3x3", "vgg16.3_2", "mobilenet.dw3x3", "large.31x31")
NETWORKS = {"ResNet-50": "resnet50.", "VGG-16": "vgg16.", "MobileNetV2": "mobilenet.", "U-Net": "unet."}  # how names begin
LAYERS_BACKWARD = (*LAYERS_QUICK, *(c.name for c in LAYERS if c.name.startswith(tuple(NETWORKS.values())) and c.n == 1),
                   "resnext50.3x3g32", "lenet.5x5.n128", "whisper.k3", "volume.3x3x3")


def _pool(name, n, c, side, k, stride, padding=0):
    return Case("pooling", name, n, c, (side, side), c, k, stride, padding)


POOLS = (
    _pool("resnet50.3x3s2", 1, 64, 112, 3, 2, 1),
    _pool("vgg16.2x2s2", 1, 64, 224, 2, 2),
    _pool("inception.3x3s1", 1, 192, 28, 3, 1, 1),
    _pool("yolo.13x13s1", 1, 512, 20, 13, 1, 6),
    _pool("vgg16.2x2s2.n16", 16, 64, 56, 2, 2),
)
POOLS_QUICK = ("resnet50.3x3s2", "vgg16.2x2s2", "inception.3x3s1")


def cases(quick=False, full=False):
    """The rows in the order of the tables."""
    layers = [c for c in LAYERS if not quick or c.name in LAYERS_QUICK]
    backward = LAYERS_QUICK if quick else LAYERS_BACKWARD
    pools = [c for c in POOLS if not quick or c.name in POOLS_QUICK]
    return [
        *photographs(KERNELS_QUICK if quick else KERNELS_FULL if full else KERNELS),
        *layers,
        *(dataclasses.replace(c, section="gradients", name=f"{short}.{c.name}", op=op)
          for c in LAYERS if c.name in backward for op, short in GRADIENTS.items()),
        *(dataclasses.replace(c, name=f"{short}.{c.name}", op=op) for c in pools for op, short in POOLING.items()),
    ]
