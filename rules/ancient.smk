"""Plans as they should be with `ancient` inputs, around a fault of Snakemake 9.

What depends on one taxonomy takes the model-wide files as `ancient` and carries all that decides them in `params`. But once a job is to
run, Snakemake 9.27 looks at the params of nothing downstream of it: it takes for granted that all of that runs, and then leaves out what hangs on
`ancient` files alone. So a new seed drew new samples and left the CNNs of the old ones, until the next run. Here the walk downstream
ends at such edges, and what lies behind them is judged by its own params and files.
"""

from snakemake.dag import DAG


class FreshEdges:
    """The edges of a plan from a job to those that use its outputs, without those of which all files are `ancient`."""

    def __init__(self, depending):
        self.depending = depending

    def __getitem__(self, job):
        return {
            user: files
            for user, files in self.depending[job].items()
            if not all(file.is_ancient for file in files)
        }


def walk_fresh_edges(walk):
    """Snakemake's walk over a plan; downstream it takes fresh edges only."""

    def bfs(self, direction, *jobs, **options):
        return walk(
            self,
            FreshEdges(direction) if direction is self.depending else direction,
            *jobs,
            **options,
        )

    bfs.walk = walk
    return bfs


# A process may read the Snakefile more than once.
DAG.bfs = walk_fresh_edges(getattr(DAG.bfs, "walk", DAG.bfs))
