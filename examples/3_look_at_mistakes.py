"""Score weights on annotated pictures, say what each kind of mistake costs, and write a page with the worst of them.

python examples/3_look_at_mistakes.py runs/first/best.safetensors DATA mistakes.html
"""

import sys
from pathlib import Path

from centermask import Predictor
from centermask.data.sources import open_data
from centermask.evaluate import format_table, predict_set
from centermask.report import count_set, write_evaluation


def main(weights: str, data: str, page: Path) -> None:
    """Print the scores and the costs of the mistakes."""
    chosen = open_data(data).val
    if chosen is None:
        sys.exit(f"{data} has no validation pictures")
    predictor = Predictor(weights, score_threshold=0.0)
    evaluated = count_set(data, chosen, predict_set(predictor, chosen), max_detections=100)
    print(format_table(evaluated.evaluation))
    for cost in evaluated.analysis.costs:
        print(f"{cost.kind}: {cost.count} times; without them AP50 would be {cost.cost:.3f} higher")
    write_evaluation(page, [evaluated], title=f"{weights} on {data}")
    print(f"the worst of them: {page}")


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], Path(sys.argv[3]))
