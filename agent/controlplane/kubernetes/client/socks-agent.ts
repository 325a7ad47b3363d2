import { Socks5ProxyAgent, type Dispatcher } from 'undici';

/** What the library has Node write on standard error, raw, with the first agent of a process. */
const experimental = 'SOCKS5 proxy support is experimental and subject to change';

/**
 * Speaks to everybody through a SOCKS5 proxy. That the library may change it is for who builds berth to know, and not for the log of who runs
 * it; every other warning is passed on.
 */
export function socksAgent(proxyUrl: string, options: Socks5ProxyAgent.Options): Dispatcher {
  const emit = Reflect.get(process, 'emitWarning') as (...words: unknown[]) => void;
  const filtered = (warning: string | Error, ...more: unknown[]): void => {
    if (warning !== experimental) Reflect.apply(emit, process, [warning, ...more]);
  };
  process.emitWarning = filtered;
  try {
    // It is made, and warns, within this call: nobody else's warnings come by here.
    return new Socks5ProxyAgent(proxyUrl, options);
  } finally {
    Reflect.set(process, 'emitWarning', emit);
  }
}
