// A `Channel` over the browser's `EventSource`.
//
// The browser's own reconnection is not used: it gives up for good at any answer but 200.

import type { Channel } from "./follower";
import { eventsUrl } from "../api/client";

export function openChannel(streams: readonly string[], from: string): Channel {
  const source = new EventSource(eventsUrl(streams, from));
  const channel: Channel = { onopen: null, onrecord: null, onlost: null, close: () => { source.close(); } };
  source.onopen = () => channel.onopen?.();
  source.onerror = () => {
    source.close();
    channel.onlost?.();
  };
  source.addEventListener("record", (event: MessageEvent<string>) => {
    channel.onrecord?.(event.data, event.lastEventId);
  });
  return channel;
}
