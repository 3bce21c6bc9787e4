"""Ask a trained net about images.

    python predict.py run=outputs/cub_layer1_frozen/<time> image=bird.jpg
    python predict.py net=squeezenet image=my_photo.jpg         # without a run: ImageNet's 1,000 classes
    python predict.py run=outputs/cub_full/<time> image=birds 'image=more/*.jpg' --json > answers.json

Prints the five most probable classes of each image, and draws the images beside them: a new file, which it names.
Of a folder or a pattern, one line for each image and a summary at the end.

  run=<directory>     a run of train.py; its net answers on the CPU, wherever it was trained
  net=<name>          squeezenet, efficientnet_lite0, or any net of torchvision or timm, which are downloaded once
  weights=<...>       of net=: imagenet (the default), random, or a file with the weights of 1,000 classes
  image=<...>         a file, a folder, a pattern in quotes, or an embedded photograph such as chelsea; again for more
  top=3               how many classes
  explain=saliency    also draws on which pixels the first answer depends; others: guided, integrated_gradients,
                      smoothgrad, grad_cam
  export=onnx         also writes the net for other programs, preprocessing and class names inside; or torch_export
  out=<folder>        where pictures and exports go; without it the working directory. Nothing there is replaced
  picture=false       draws no picture of the answers
  paths.weights=<...> a folder of weight files that you filled, in place of torch's own cache
  trust=true          also builds what conf/ does not name; else somebody's run directory runs no code here
  --json              standard output is JSON alone, and nothing is drawn unless out= is typed

Exit code: 0; 1 if some of the images could not be read; 2 for a mistake, or if none could be read.
"""

import sys


def main(arguments: list[str]) -> int:
    """Answer about each image; return the exit code."""
    from labs.cli.predict import predict

    return predict(arguments)


if __name__ == "__main__":
    from labs.cli.terminal import print_everywhere

    print_everywhere()
    if {"-h", "--help"} & set(sys.argv[1:]):
        print(__doc__)
    else:
        from labs.cli import report_mistakes

        with report_mistakes():
            sys.exit(main(sys.argv[1:]))
