"""Classify images with a trained run, or with a net of ImageNet's.

    python predict.py outputs/cub_full photo.png                   # the newest finished run of an experiment
    python predict.py outputs/cub_full/<time> birds 'more/*.jpg'   # one run; a folder of images, a pattern
    python predict.py net=squeezenet my_photo.jpg                  # without a run: ImageNet's 1,000 classes
    python predict.py outputs/cub_full birds --csv answers.csv

Prints the five most probable classes of an image, or a table with one row per image, and draws the images beside their
answers to a new file, which it names.

Words come in any order. A bare word that is a run, or a folder of runs, is the run; all others are images. Every other
setting can be written in three ways: top=3, --top=3 or --top 3.

  run=<folder>        a run of train.py; or the folder of an experiment or a grid, or outputs: its newest finished run
  net=<name>          squeezenet, efficientnet_lite0, or any net of torchvision or timm, which are downloaded once
  weights=<...>       of net=: imagenet (the default), random, or a file with the weights of 1,000 classes
  image=<...>         a file, a folder, a pattern in quotes, or an embedded photograph such as chelsea; repeat it for
                      more, or list them: --image a.png b.png
  top=3               number of classes
  explain=saliency    also draw the pixels on which the first answer depends; others: guided, integrated_gradients,
                      smoothgrad, grad_cam
  export=onnx         also write the net for other programs, preprocessing and class names inside; or torch_export
  out=<folder>        where pictures and exports go; default: the working directory. No file there is replaced
  picture=false       draw no picture of the answers; also --no-picture
  paths.weights=<...> a folder of weight files that you filled, in place of torch's own cache
  trust=true          also build what conf/ does not name; otherwise a run directory from elsewhere runs no code here
  --csv, --json       print CSV or JSON alone, and draw nothing unless out= is given; with a file (--csv answers.csv),
                      write that file and print the table as usual

Exit code: 0; 1 if some of the images could not be read; 2 for a mistake, or if none could be read.
"""

import sys


def main(arguments: list[str]) -> int:
    """Classify the images; return the exit code."""
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
