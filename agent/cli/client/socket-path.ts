import { existsSync } from 'node:fs';

/** Where an agent listens unless it is told otherwise, and where the demo does. */
export const defaultSocket = '/run/berth/berth.sock';
export const demoSocket = '/run/berth-demo/berth.sock';

/** The flag, the environment, the usual place, the demo's. */
export function socketPath(flag: string | undefined): string {
  const chosen = flag ?? process.env['BERTH_SOCKET'];
  if (chosen) return chosen;
  return !existsSync(defaultSocket) && existsSync(demoSocket) ? demoSocket : defaultSocket;
}
