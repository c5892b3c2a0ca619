"""The canvas that backdrops are drawn on, with smooth edges, and the shapes of interface pictures."""
import torch

from tools.data.vocabulary import COLOURS

TILE_SIDE, TILE_CORNER = 0.72, 0.17
LIGHT, DARK = (1.0, 1.0, 1.0), (0.17, 0.18, 0.24)
BAR_HEIGHT, BAR_STEP, BUTTON_HEIGHT = 0.055, 0.1, 0.1


def rgb(names, device):
    """Colours by name as [n, 3] in 0..1."""
    return torch.tensor([COLOURS[name] for name in names], device=device).float() / 255


def column(numbers, position):
    """One column of numbers [n, k], shaped to be combined with the pixels of n pictures."""
    return numbers[:, position, None, None]


class Canvas:
    """The pixel centres of a window of a picture, in units of the picture's shorter side, origin at its centre."""

    def __init__(self, size, window, device):
        width, height = size
        self.x0, self.y0, self.columns, self.rows = window
        self.device, self.short = device, min(size)
        self.width, self.height = width / self.short, height / self.short
        x = (torch.arange(self.x0, self.x0 + self.columns, device=device) + 0.5 - width / 2) / self.short
        y = (torch.arange(self.y0, self.y0 + self.rows, device=device) + 0.5 - height / 2) / self.short
        self.x, self.y = x[None, None, :], y[None, :, None]

    def inside(self, distance):
        """How far each pixel lies inside a shape, from its signed distance to the edge (negative inside)."""
        return (0.5 - distance * self.short).clamp(0, 1)

    def fill(self, colour):
        """Pictures of one colour [n, 3] each."""
        return colour[:, :, None, None].expand(-1, -1, self.rows, self.columns)

    def mix(self, first, second, share):
        """Two colours [n, 3] mixed by a share that covers the pixels; 0 gives the first."""
        return self.lay(self.fill(first), share, second)

    def lay(self, picture, share, colour):
        """The picture with a colour [3] or [n, 3] laid over it where the share is 1."""
        colour = torch.as_tensor(colour, device=self.device).float()
        colour = colour.expand(len(picture), 3)[:, :, None, None]
        return torch.lerp(picture, colour, share.expand(len(picture), self.rows, self.columns).clamp(0, 1)[:, None])

    def rounded(self, x, y, width, height, corner):
        """Signed distance to a rounded rectangle around (x, y)."""
        across = (self.x - x).abs() - width / 2 + corner
        down = (self.y - y).abs() - height / 2 + corner
        outside = torch.hypot(across.clamp(min=0), down.clamp(min=0))
        return outside + torch.maximum(across, down).clamp(max=0) - corner

    def disc(self, x, y, radius):
        """Signed distance to a circle."""
        return torch.hypot(self.x - x, self.y - y) - radius


def draw_tiles(canvas, picture, scenes):
    """Rounded squares with a soft shadow in the middle of pictures [n, 3, h, w]."""
    colour = rgb([scene.tile for scene in scenes], canvas.device)
    shadow = canvas.rounded(0, 0.02, TILE_SIDE, TILE_SIDE, TILE_CORNER)
    picture = canvas.lay(picture, 0.28 * (1 - shadow / 0.05).clamp(0, 1) ** 2, DARK)
    square = canvas.inside(canvas.rounded(0, 0, TILE_SIDE, TILE_SIDE, TILE_CORNER))
    picture = canvas.lay(picture, square, colour)
    return canvas.lay(picture, square * (0.12 - 0.3 * canvas.y).clamp(0, 0.2), LIGHT)


def draw_shadows(canvas, picture, feet):
    """Soft shadows on the ground under things; `feet` [n, 3] are x, y and half the width."""
    across = (canvas.x - column(feet, 0)) / column(feet, 2)
    down = (canvas.y - column(feet, 1)) / 0.035
    return canvas.lay(picture, 0.42 * torch.exp(-1.6 * across**2 - down**2), (0.05, 0.06, 0.12))


def draw_words_place(canvas, picture, scene):
    """Bars in place of lines of text, and at times a button, in the copy space of one picture [1, 3, h, w]."""
    x = {"left": -0.25, "right": 0.25}.get(scene.copy_space, 0) * canvas.width
    y = {"top": -0.25, "bottom": 0.25}.get(scene.copy_space, 0) * canvas.height
    width = 0.38 * canvas.width if x else min(0.7 * canvas.width, 0.9)
    ground = rgb(scene.backdrop.colours, canvas.device).mean()
    y -= ((scene.bars - 1) * BAR_STEP + (BUTTON_HEIGHT + BAR_STEP) * bool(scene.button)) / 2
    for bar in range(scene.bars):
        share = (1, 0.86, 0.6)[bar]
        edge = canvas.rounded(x, y + bar * BAR_STEP, width * share, BAR_HEIGHT, BAR_HEIGHT / 2)
        picture = canvas.lay(picture, 0.9 * canvas.inside(edge), LIGHT if ground < 0.6 else DARK)
    if scene.button:
        edge = canvas.rounded(x, y + scene.bars * BAR_STEP + BUTTON_HEIGHT / 2, 0.24, BUTTON_HEIGHT, BUTTON_HEIGHT / 2)
        picture = canvas.lay(picture, canvas.inside(edge), rgb([scene.button], canvas.device))
    return picture
