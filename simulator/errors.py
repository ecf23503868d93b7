"""Refusals, in the shape RingCentral writes them: nested in ``errors`` and once more at the top level (facts 8)."""

from typing import Any


class Refusal(Exception):
    """Ends a request with an error answer. ``top`` is the top-level code where it differs from the nested one."""

    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        *,
        top: str = "",
        headers: dict[str, str] | None = None,
        **extra: str,
    ) -> None:
        super().__init__(f"{status} {code}")
        self.status = status
        self.headers = headers or {}
        self.body = error_body(code, message, top=top, **extra)


def error_body(code: str, message: str, *, top: str = "", **extra: str) -> dict[str, Any]:
    return {
        "errorCode": top or code,
        "message": message,
        "errors": [{"errorCode": code, "message": message, **extra}],
        **extra,
    }


def bad_parameter(name: str, value: str = "", code: str = "CMN-101") -> Refusal:
    return Refusal(
        400,
        code,
        f"Parameter [{name}] value is invalid",
        top="InvalidParameter",
        parameterName=name,
        parameterValue=value,
    )


def not_found(name: str) -> Refusal:
    message = f"Resource for parameter [{name}] is not found"
    return Refusal(404, "CMN-102", message, parameterName=name)


def lacking_scope(scope: str) -> Refusal:
    message = f"In order to call this API endpoint, application needs to have [{scope}] permission"
    return Refusal(403, "CMN-401", message, top="InsufficientPermissions", permissionName=scope)


def lacking_permission(permission: str) -> Refusal:
    message = f"In order to call this API endpoint, user needs to have [{permission}] permission"
    return Refusal(403, "CMN-408", message, top="InsufficientPermissions", permissionName=permission)


def unauthorized(code: str, message: str, top: str = "TokenInvalid") -> Refusal:
    return Refusal(401, code, message, top=top, headers={"WWW-Authenticate": 'Bearer realm="RingCentral REST API"'})


class OAuthRefusal(Refusal):
    """A refusal of the token endpoint, which has the fields of RFC 6749 beside the usual ones (facts 7)."""

    def __init__(self, error: str, code: str, description: str) -> None:
        super().__init__(400, code, description)
        self.body = {
            "error": error,
            "error_description": description,
            "errors": [{"errorCode": code, "message": description}],
        }
