"""gateway/console/cards.json: the cards that the console offers, from the mock provider's table."""

import json

from payment_svc.providers.mock_scenarios import SCENARIOS


def made() -> str:
    """The file."""
    cards = [
        {
            "name": one.name,
            "cardNumber": one.number,
            "description": one.description,
            "outcome": one.outcome,
        }
        for one in SCENARIOS
    ]
    return json.dumps({"testCards": cards}, indent=2) + "\n"
