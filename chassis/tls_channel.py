"""A channel that speaks TLS and follows its certificates: gRPC's own keep those they began with."""

import asyncio
from collections.abc import Callable
from typing import Any, Self

import grpc
import grpc.aio

from chassis.tls import channel_credentials
from chassis.tls_files import Material, TlsFiles

Open = Callable[[grpc.ChannelCredentials], grpc.aio.Channel]


class _Inner:
    """A channel with one state of the files, and how many calls run over it."""

    def __init__(self, material: Material, channel: grpc.aio.Channel) -> None:
        self.material = material
        self.channel = channel
        self.running = 0


class FollowingChannel(grpc.aio.Channel):
    """Begins each call with the certificates that the files hold then.

    When they have changed, new calls go over a new connection; those that run, streams too, go on
    over the one that they have, which is closed when the last of them is over.
    """

    def __init__(self, files: TlsFiles, open_one: Open) -> None:
        """Open channels with `open_one`."""
        self._files = files
        self._open = open_one
        self._inner = self._opened()
        self._left: set[_Inner] = set()
        self._closing: set[asyncio.Task[None]] = set()

    def present(self) -> _Inner:
        """The channel that a call begins over."""
        if self._files.current() is not self._inner.material:
            left, self._inner = self._inner, self._opened()
            self._left.add(left)
            self.close_if_done(left)
        return self._inner

    def close_if_done(self, inner: _Inner) -> None:
        """Close a channel that is left, when nothing runs over it any more."""
        if inner in self._left and not inner.running:
            self._left.remove(inner)
            task = asyncio.get_running_loop().create_task(inner.channel.close())
            self._closing.add(task)
            task.add_done_callback(self._closing.discard)

    def unary_unary(self, *args: Any, **kwargs: Any) -> Any:
        """See grpc.aio.Channel."""
        return _Method(self, "unary_unary", args, kwargs)

    def unary_stream(self, *args: Any, **kwargs: Any) -> Any:
        """See grpc.aio.Channel."""
        return _Method(self, "unary_stream", args, kwargs)

    def stream_unary(self, *args: Any, **kwargs: Any) -> Any:
        """See grpc.aio.Channel."""
        return _Method(self, "stream_unary", args, kwargs)

    def stream_stream(self, *args: Any, **kwargs: Any) -> Any:
        """See grpc.aio.Channel."""
        return _Method(self, "stream_stream", args, kwargs)

    async def close(self, grace: float | None = None) -> None:
        """End all calls, those over older connections too."""
        channels = [one.channel for one in (self._inner, *self._left)]
        self._left.clear()
        closings: list[Any] = [one.close(grace) for one in channels]
        await asyncio.gather(*closings, *self._closing)

    def get_state(self, try_to_connect: bool = False) -> grpc.ChannelConnectivity:  # noqa: FBT001, FBT002 - as gRPC has it
        """That of the present connection."""
        return self.present().channel.get_state(try_to_connect)

    async def wait_for_state_change(self, last_observed_state: grpc.ChannelConnectivity) -> None:
        """See grpc.aio.Channel."""
        await self.present().channel.wait_for_state_change(last_observed_state)

    async def channel_ready(self) -> None:
        """See grpc.aio.Channel."""
        await self.present().channel.channel_ready()

    async def __aenter__(self) -> Self:
        """The channel."""
        return self

    async def __aexit__(self, *_: object) -> None:
        """Close it."""
        await self.close()

    def _opened(self) -> _Inner:
        material = self._files.current()
        return _Inner(material, self._open(channel_credentials(material)))


class _Method:
    """A method that is found anew when the channel is another."""

    def __init__(
        self, channel: FollowingChannel, kind: str, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> None:
        self._channel = channel
        self._kind, self._args, self._kwargs = kind, args, kwargs
        self._found: _Inner | None = None
        self._method: Any = None

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        inner = self._channel.present()
        if self._found is not inner:
            make: Any = getattr(inner.channel, self._kind)
            self._found, self._method = inner, make(*self._args, **self._kwargs)
        call = self._method(*args, **kwargs)
        inner.running += 1

        def over(_: object) -> None:
            inner.running -= 1
            self._channel.close_if_done(inner)

        call.add_done_callback(over)
        return call
