"""A sample photograph drawn by code: a mountain lake in the evening. Nothing is read from disk, so nothing ships."""
import functools

import numpy as np

HEIGHT, WIDTH = 512, 768
HORIZON, SHORE = 296, 306  # rows: where the ground meets the sky, and where the lake begins
SUN = (212, 545)  # row, column


@functools.cache
def sample_image():
    """An RGB picture with what photographs have: smooth gradients, texture at every scale, sharp edges, vignetting, noise.

    Returns a read-only uint8 array of shape (512, 768, 3), the same at every call.

    >>> sample_image().shape
    (512, 768, 3)
    """
    rng = np.random.default_rng(1729)
    picture = _sky(rng)
    for ridge in _ridges(rng):
        _blend(picture, *ridge)
    _lake(picture, rng)
    _trees(picture, rng)
    image = (np.clip(_lens(picture, rng), 0, 1) * 255).round().astype(np.uint8)
    image.setflags(write=False)
    return image


def _fractal(rng, shape, slope, stretch=1.0):
    """Noise with amplitude 1/frequency**slope, mean 0 and deviation 1; stretch > 1 draws it out along the last axis."""
    axes = [np.fft.fftfreq(size) for size in shape[:-1]] + [np.fft.rfftfreq(shape[-1]) * stretch]
    frequency = np.sqrt(sum(axis**2 for axis in np.meshgrid(*axes, indexing="ij")))
    frequency.flat[0] = np.inf
    noise = np.fft.irfftn(np.fft.rfftn(rng.standard_normal(shape)) / frequency**slope, s=shape, axes=range(len(shape)))
    return noise / noise.std()


def _smooth(value, low, high):
    """0 below low, 1 above high, a smooth step between."""
    t = np.clip((value - low) / (high - low), 0, 1)
    return t * t * (3 - 2 * t)


def _rgb(red, green, blue):
    return np.array([red, green, blue]) / 255


def _blend(picture, cover, colour):
    """Lay colour over picture where cover, between 0 and 1, says so."""
    picture += cover[..., None] * (colour - picture)


def _sky(rng):
    rows, columns = np.mgrid[:HEIGHT, :WIDTH]
    height = _smooth(HORIZON - rows, 0, HORIZON)[..., None]
    picture = (1 - height) * _rgb(246, 210, 176) + height * _rgb(62, 108, 170)
    distance = np.hypot(rows - SUN[0], columns - SUN[1])
    picture += np.exp(-distance / 90)[..., None] * _rgb(120, 70, 20)
    clouds = _fractal(rng, (HEIGHT, WIDTH), 1.6, stretch=3)
    light = clouds - np.roll(clouds, (-9, 7), (0, 1))
    colour = _rgb(236, 208, 196) + np.clip(light, -1, 1)[..., None] * _rgb(52, 48, 40)
    _blend(picture, 0.85 * _smooth(clouds, 0.2, 1.8) * _smooth(rows, -160, 120), colour)
    _blend(picture, np.exp(-((distance / 17) ** 4)), _rgb(255, 248, 226))
    return picture


def _ridges(rng):
    """(cover, colour) of each mountain range, the farthest first: nearer ranges are darker, greener and less hazy."""
    rows = np.arange(HEIGHT)[:, None]
    haze = _rgb(205, 178, 172)
    for depth, (base, relief) in enumerate([(205, 34), (232, 26), (262, 15), (286, 6)]):
        nearness = (depth + 1) / 4
        crest = base - relief * _fractal(rng, (WIDTH,), 1.35 - 0.1 * depth)
        cover = _smooth(rows - crest, -0.8, 0.8)
        slopes = _fractal(rng, (HEIGHT, WIDTH), 1.6, stretch=0.8)
        light = np.clip(6 * (slopes - np.roll(slopes, (-1, -2), (0, 1))), -1, 1)
        rock, wood = _rgb(112, 98, 98), _rgb(34, 50, 38)
        wooded = _smooth(rows - crest + 12 * slopes, 26 - 9 * depth, 58 - 12 * depth)[..., None]
        colour = (1 - wooded) * rock + wooded * (wood * (1 + 0.25 * rng.standard_normal((HEIGHT, WIDTH, 1))))
        colour = colour * (1 + 0.45 * light[..., None])
        snow = _smooth(185 - rows + 16 * slopes + 14 * light, 0, 16)[..., None]
        colour = colour * (1 - snow) + snow * (_rgb(228, 220, 224) + 0.16 * light[..., None])
        mist = (1 - nearness) * 0.62 + 0.25 * _smooth(rows, base, HORIZON)[..., None] * (1 - 0.6 * nearness)
        yield cover, colour * (1 - mist) + mist * haze


def _lake(picture, rng):
    """The mirror image of what lies above the shore, shaken by waves that grow towards the viewer."""
    rows, columns = np.mgrid[SHORE:HEIGHT, :WIDTH]
    depth = rows - SHORE
    waves = _fractal(rng, (HEIGHT - SHORE, WIDTH), 1.1, stretch=7)
    above = np.clip(SHORE - 1 - depth * 1.25 + waves * (0.6 + depth * 0.06), 0, SHORE - 1).astype(int)
    beside = np.clip(columns + waves * (0.3 + depth * 0.02), 0, WIDTH - 1).astype(int)
    water = picture[above, beside] * (0.86 - 0.12 * depth[..., None] / HEIGHT) + waves[..., None] * 0.018
    picture[SHORE:] = 0.8 * water + 0.2 * _rgb(38, 62, 84)
    path = np.exp(-(((columns - SUN[1]) / (18 + 0.35 * depth)) ** 2)) * _smooth(waves, 0.5, 1.6)
    picture[SHORE:] += path[..., None] * _rgb(150, 116, 70)


def _trees(picture, rng):
    """A bank of grass along the lower edge and firs on both sides, dark against the light."""
    rows, columns = np.mgrid[:HEIGHT, :WIDTH]
    edge = 452 - 46 * np.cos(np.linspace(0, 2 * np.pi, WIDTH) + 0.5) + 5 * _fractal(rng, (WIDTH,), 0.9)
    blades = _fractal(rng, (HEIGHT, WIDTH), 0.75, stretch=0.35)
    grass = _rgb(44, 52, 24) * (1 + 0.35 * blades[..., None]) + _smooth(blades, 1.2, 2.6)[..., None] * _rgb(96, 84, 34)
    _blend(picture, _smooth(rows - edge - 3 * blades, -1, 1), np.clip(grass, 0, 1))
    for place in np.sort(rng.random(17)):
        foot = place * 0.36 if place < 0.6 else 0.78 + 0.22 * (place - 0.6) / 0.4
        column = int(foot * (WIDTH - 1))
        around = slice(max(column - 64, 0), column + 64)
        _blend(picture[:, around], *_fir(rng, rows[:, around], columns[:, around] - column, edge[column], abs(foot - 0.5)))


def _fir(rng, rows, aside, ground, from_middle):
    """(cover, colour) of a fir at column aside == 0: a triangle whose edge the boughs cut into saw teeth."""
    bottom = ground + rng.uniform(4, 30)
    height = rng.uniform(90, 250) * (0.65 + 0.6 * from_middle)
    needles = rng.random(rows.shape)
    along = (rows - bottom + height) / height  # 0 at the tip, 1 at the foot
    boughs = 0.62 + 0.38 * (along * height / 11 % 1)
    reach = np.where((along > 0) & (along < 0.97), (1 + 0.19 * height * along * boughs) * (0.72 + 0.5 * needles), -1)
    trunk = (abs(aside) < 2.4) & (along > 0.5) & (along < 1.02)
    light = (1 + 0.7 * np.clip(aside / 40, -0.5, 1)) * (0.75 + 0.6 * needles)
    return np.maximum(_smooth(reach - abs(aside), -0.7, 0.7), trunk), _rgb(19, 28, 22) * light[..., None]


def _lens(picture, rng):
    """What a camera does: a little blur, darker corners, noise that grows with the light."""
    for axis in (0, 1):
        before, at, after = (np.take(picture, np.clip(np.arange(picture.shape[axis]) + step, 0, None), axis, mode="clip")
                             for step in (-1, 0, 1))
        picture = 0.15 * before + 0.7 * at + 0.15 * after
    down, across = np.mgrid[-1:1:HEIGHT * 1j, -1:1:WIDTH * 1j]
    picture = picture * (1 - 0.16 * (down**2 + across**2))[..., None]
    return picture + rng.standard_normal(picture.shape) * (0.006 + 0.010 * np.sqrt(np.clip(picture, 0, 1)))
