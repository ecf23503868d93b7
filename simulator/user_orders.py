"""Orders about who may do what: credentials, sessions, users, permissions."""

from typing import Any

from simulator.oauth import SESSION_LIMIT, User
from simulator.world import World

Reply = dict[str, Any]


async def set_permissions(world: World, order: Reply) -> Reply:
    """``revoke`` and ``grant``: names of app scopes and user permissions; ``owner_id``: one user only."""
    for user in _users(world, order):
        user.permissions -= set(order.get("revoke", []))
        user.permissions |= set(order.get("grant", []))
    if "owner_id" not in order:
        world.tokens.scopes -= set(order.get("revoke", []))
        world.tokens.scopes |= set(order.get("grant", []))
    return {"scopes": sorted(world.tokens.scopes)}


async def change_jwts(world: World, order: Reply) -> Reply:
    """``revoke``: JWTs that are refused from now on, with the sessions of their users; ``restore`` takes it back."""
    for jwt in order.get("revoke", []):
        world.tokens.revoke_jwt(jwt)
    world.tokens.revoked_jwts -= set(order.get("restore", []))
    return {"revoked": len(world.tokens.revoked_jwts)}


async def change_client_secrets(world: World, order: Reply) -> Reply:
    """``add`` and ``remove``: one secret each; while there are two, both are right. Sessions stay."""
    known = world.tokens.client_secrets
    known |= {secret for secret in [order.get("add")] if secret}
    known -= {order.get("remove")}
    return {"secrets": len(known)}


async def change_users(world: World, order: Reply) -> Reply:
    """``foreign`` true moves the user ``owner_id`` (or all) to the other account, false back to this one."""
    foreign = order["foreign"] is True
    for user in _users(world, order):
        user.account_id = (world.neighbour if foreign else world.company).account_id
    return {"users": [{"owner_id": one.extension_id, "account_id": one.account_id} for one in _users(world, {})]}


async def take_sessions(world: World, order: Reply) -> Reply:
    """Others sign in as the user ``owner_id`` (or all), ``count`` times (as many as push out all older sessions)."""
    for user in _users(world, order):
        for _ in range(int(order.get("count", SESSION_LIMIT))):
            world.tokens.sign_in(user, world.options.client_id)
    return {"sessions": len(world.tokens.sessions)}


async def drop_tokens(world: World, _order: Reply) -> Reply:
    """All sessions end at once: every token is unknown from now on."""
    return {"dropped": world.tokens.drop_all()}


def _users(world: World, order: Reply) -> list[User]:
    chosen = [one for one in world.tokens.users.values() if order.get("owner_id") in {None, one.extension_id}]
    if not chosen:
        raise ValueError("no such user")
    return chosen
