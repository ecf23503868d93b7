"""The settings of a client of the simulator."""

from common.settings import RingCentralSettings
from simulator import Simulator


def settings_for(simulator: Simulator) -> RingCentralSettings:
    options = simulator.options
    return RingCentralSettings.model_validate(
        {
            "RC_SERVER_URL": simulator.url,
            "RC_ACCOUNT_ID": options.account_id,
            "RC_CLIENT_ID": options.client_id,
            "RC_CLIENT_SECRET": options.client_secret,
            "RC_JWT": options.jwt,
        }
    )
