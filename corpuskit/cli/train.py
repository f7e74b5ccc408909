"""The command `corpuskit train`: makes what a stage reads."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import click
from click.core import ParameterSource

from corpuskit import settings
from corpuskit.cli import progress
from corpuskit.cli.options import Verb, divide, option
from corpuskit.cli.running import CONTEXT, JSON, RUN_OPTIONS, VERBOSE
from corpuskit.errors import UsageError

__all__ = ["train"]

_NEGATIVE = "--negative"
_PATHS = "POSITIVE... --negative NEGATIVE... MODEL"


def _options(training: type[Any]) -> list[click.Parameter]:
    """Make the settings of a training options, and add some of those that all commands share."""
    shared = [one for one in RUN_OPTIONS if one.name in ("quiet", "force")]
    return [*map(option, settings.fields(training)), JSON, *shared, VERBOSE]


def _chosen(ctx: click.Context, given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings that were given on the command line."""
    return {
        name: [item for part in value for item in part] if isinstance(value, tuple) else value
        for name, value in given.items()
        if name != "verbose" and ctx.get_parameter_source(name) is ParameterSource.COMMANDLINE
    }


class QualityCommand(click.Command):
    """`corpuskit train quality`: its options are the settings of `QualityTraining`, imported when needed."""

    def get_params(self, ctx: click.Context) -> list[click.Parameter]:
        """List the paths, the settings in order, and some of the shared options."""
        if not self.params:
            from corpuskit.train import QualityTraining

            self.params = [
                click.Argument(["paths"], nargs=-1, type=click.Path(), metavar=_PATHS),
                click.Option(
                    [_NEGATIVE],
                    multiple=True,
                    type=click.Path(),
                    metavar="NEGATIVE...",
                    help="Datasets of documents as they come, to tell the positives from.",
                ),
                *_options(QualityTraining),
            ]
        return super().get_params(ctx)

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Let `--negative` take every path up to the next option, but for the last of all: that is MODEL."""
        return super().parse_args(ctx, self._spread(ctx, list(args)))

    def _spread(self, ctx: click.Context, args: list[str]) -> list[str]:
        if _NEGATIVE not in args:
            return args
        first = args.index(_NEGATIVE) + 1
        end = next((at for at in range(first, len(args)) if args[at].startswith("-")), len(args))
        group, rest = args[first:end], self._spread(ctx, args[end:])
        ahead = [] if self._paths(ctx, rest) else group[1:][-1:]
        named = group[: len(group) - len(ahead)]
        spread = [each for path in named for each in (_NEGATIVE, path)] or [_NEGATIVE]
        return [*args[: first - 1], *spread, *ahead, *rest]

    def _paths(self, ctx: click.Context, args: list[str]) -> bool:
        """Say whether any of these arguments is a path by itself."""
        found, _, _ = self.make_parser(ctx).parse_args(list(args))
        paths = found.get("paths")
        return isinstance(paths, tuple) and bool(paths)


@click.pass_context
def _quality(
    ctx: click.Context,
    /,
    paths: tuple[str, ...],
    negative: tuple[str, ...],
    as_json: bool,
    quiet: bool,
    force: bool,
    **given: Any,
) -> None:
    from corpuskit.train import QualityTraining, train_quality

    if not negative or len(paths) < 2:
        missing = "positives and a model" if negative else "negatives"
        raise UsageError(f"there must be {missing}", fix=f"give {_PATHS}: the last path is the model")
    positives, model = divide(paths)
    training = settings.from_mapping(QualityTraining, _chosen(ctx, given), "train.quality")
    trained = train_quality(positives, negative, model, training, force=force)
    if as_json:
        progress.print_json(trained.json())
    elif not quiet:
        click.echo(trained.text())


class TokenizerCommand(click.Command):
    """`corpuskit train tokenizer`: its options are the settings of `TokenizerTraining`."""

    def get_params(self, ctx: click.Context) -> list[click.Parameter]:
        """List the paths, the settings in order, and some of the shared options."""
        if not self.params:
            from corpuskit.train import TokenizerTraining

            paths = click.Argument(["paths"], nargs=-1, type=click.Path(), metavar="CORPUS... OUT")
            self.params = [paths, *_options(TokenizerTraining)]
        return super().get_params(ctx)


@click.pass_context
def _tokenizer(
    ctx: click.Context, /, paths: tuple[str, ...], as_json: bool, quiet: bool, force: bool, **given: Any
) -> None:
    from corpuskit.train import TokenizerTraining, train_tokenizer

    training = settings.from_mapping(TokenizerTraining, _chosen(ctx, given), "train.tokenizer")
    corpora, target = divide(paths, reads=training.kind != "bytes")
    trained = train_tokenizer(corpora, target, training, force=force)
    if as_json:
        progress.print_json(trained.json())
    elif not quiet:
        click.echo(trained.text())


train = Verb(
    "train",
    """Train what a stage reads: the model of filter quality, the vocabulary of shard tokens.

    Example: corpuskit train quality wikipedia books --negative crawl quality-model
    """,
)
train.add_command(
    QualityCommand(
        "quality",
        callback=_quality,
        help="""Train a quality model: tell POSITIVE datasets from NEGATIVE ones, and write the folder MODEL.

        Logistic regression over Spark's HashingTF, as for GPT-3, calibrated and tested on documents it
        has not seen. MODEL/README.md is its card. The same command again does nothing.
        """,
        short_help="Train the model of filter quality from good documents and others.",
        context_settings=CONTEXT,
    )
)
train.add_command(
    TokenizerCommand(
        "tokenizer",
        callback=_tokenizer,
        help="""Learn a vocabulary from the datasets CORPUS..., and write the folder OUT.

        All kinds write tokenizer.json; bpe also GPT-2's encoder.json and vocab.bpe, and tiktoken's ranks;
        wordpiece also BERT's vocab.txt. --kind bytes needs no corpus. OUT/README.md is the card. The same
        command again does nothing.

        Example: corpuskit train tokenizer wikipedia books tokenizer --size 50257
        """,
        short_help="Learn a vocabulary: BPE, WordPiece, Unigram, or bytes.",
        context_settings=CONTEXT,
    )
)
