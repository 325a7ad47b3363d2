import { join } from 'node:path';
import { attribute, namesIn } from '../network-disks/scsi-disks.js';

/** What the kernel shows of iSCSI sessions. */
export class IscsiSessions {
  readonly #sys: string;

  /** `/sys`. */
  constructor(sys: string) {
    this.#sys = sys;
  }

  /** The SCSI host of the session with a target by one portal: `host3`. Undefined while it is not logged in. */
  async hostOf(iqn: string, portal: string): Promise<string | undefined> {
    const hosts = join(this.#sys, 'class/iscsi_host');
    for (const host of await namesIn(hosts)) {
      const device = join(hosts, host, 'device');
      for (const session of (await namesIn(device)).filter((name) => name.startsWith('session'))) {
        const target = join(device, session, 'iscsi_session', session, 'targetname');
        if ((await attribute(target)) !== iqn) continue;
        if (await this.#speaksTo(join(device, session), portal)) return host;
      }
    }
    return undefined;
  }

  async #speaksTo(session: string, portal: string): Promise<boolean> {
    for (const name of (await namesIn(session)).filter((one) => one.startsWith('connection'))) {
      const connection = join(session, name, 'iscsi_connection', name);
      for (const kind of ['', 'persistent_']) {
        const address = await attribute(join(connection, `${kind}address`));
        const port = await attribute(join(connection, `${kind}port`));
        if (portal.replaceAll(/[[\]]/g, '') === `${address}:${port}`) return true;
      }
    }
    return false;
  }
}
