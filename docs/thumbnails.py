"""Cut the small pictures of the README out of those of docs/images.

    python docs/thumbnails.py

A thumbnail has the name of the practical's page. Type it again when a picture has changed.
"""

from pathlib import Path

from PIL import Image

IMAGES = Path(__file__).parent / "images"
SIZE = (320, 200)
# page: the picture, and the left and upper corner and the width of what is cut out of it, in pixels
CUTS = {
    "digits": ("digits_predictions.png", 0, 222, 700),
    "folder": ("folder_predictions_embedded.png", 0, 208, 700),
    "cub": ("explained_embedded.png", 20, 112, 860),
    "wikiart": ("wikiart_embedded.jpg", 0, 0, 1062),
    "artists": ("artists_paintings_embedded.jpg", 0, 0, 860),
    "facescrub": ("facescrub_faces.jpg", 0, 0, 614),
    "scenes": ("scenes_patches_embedded.png", 0, 0, 768),
    "layer_activations": ("activations_overview.png", 0, 65, 950),
    "attribution": ("saliency_methods.jpg", 228, 38, 1072),
    "fooling": ("fooling_squeezenet.jpg", 28, 86, 790),
    "class_visualization": ("classvis_maco.png", 0, 71, 900),
    "style_transfer": ("style_transfer.png", 0, 72, 880),
    "gan": ("dcgan_variations_embedded.png", 558, 52, 165),
    "dann": ("domains_embedded.png", 293, 82, 726),
    "neuron": ("neuron_not.gif", 0, 0, 710),
    "descent": ("descent_quartic.gif", 0, 0, 710),
}

if __name__ == "__main__":
    for page, (name, left, upper, width) in CUTS.items():
        with Image.open(IMAGES / name) as picture:
            picture.seek(getattr(picture, "n_frames", 1) - 1)  # of a GIF the last frame
            layer = picture.convert("RGBA")
        whole = Image.new("RGBA", layer.size, "white")
        whole.alpha_composite(layer)
        cut = whole.convert("RGB").crop((left, upper, left + width, upper + width * SIZE[1] // SIZE[0]))
        cut.resize(SIZE, Image.Resampling.LANCZOS).save(IMAGES / "thumbnails" / f"{page}.jpg", quality=82)
