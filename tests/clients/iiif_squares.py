"""Writes the test picture of the IIIF Image API validator: 10 x 10 squares of 100 px in the colours that it expects."""

import sys

from iiif_validator.validator import ValidationInfo
from PIL import Image

colours = ValidationInfo().colorInfo
picture = Image.new("RGB", (1000, 1000))
for x in range(10):
    for y in range(10):
        picture.paste(colours[x][y], (100 * x, 100 * y, 100 * x + 100, 100 * y + 100))
picture.save(sys.argv[1])
