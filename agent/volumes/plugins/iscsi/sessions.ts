import { readdir, readFile, readlink, writeFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { errnoOf } from '../../../../base/errors.js';

/** What the kernel shows of iSCSI sessions and SCSI disks. */
export class IscsiSessions {
  readonly #sys: string;

  /** `/sys`. */
  constructor(sys: string) {
    this.#sys = sys;
  }

  /** The SCSI host of the session with a target by one portal: `host3`. Undefined while it is not logged in. */
  async hostOf(iqn: string, portal: string): Promise<string | undefined> {
    const hosts = join(this.#sys, 'class/iscsi_host');
    for (const host of await names(hosts)) {
      const device = join(hosts, host, 'device');
      for (const session of (await names(device)).filter((name) => name.startsWith('session'))) {
        const target = join(device, session, 'iscsi_session', session, 'targetname');
        if ((await text(target)) !== iqn) continue;
        if (await this.#speaksTo(join(device, session), portal)) return host;
      }
    }
    return undefined;
  }

  /** Has the kernel look for one disk, and for no other of the target. */
  async scan(host: string, lun: number): Promise<void> {
    await writeFile(join(this.#sys, 'class/scsi_host', host, 'scan'), `0 0 ${lun}`);
  }

  /** The multipath device on top of a disk. */
  async multipathOf(device: string): Promise<string | undefined> {
    const block = join(this.#sys, 'block');
    for (const name of (await names(block)).filter((one) => one.startsWith('dm-')))
      if ((await names(join(block, name, 'slaves'))).includes(basename(device))) return name;
    return undefined;
  }

  /** The kernel forgets the disk; nothing of it may be mounted. */
  async remove(device: string): Promise<void> {
    await writeFile(join(this.#sys, 'block', basename(device), 'device/delete'), '1').catch((err: unknown) => {
      if (errnoOf(err) !== 'ENOENT') throw err;
    });
  }

  async #speaksTo(session: string, portal: string): Promise<boolean> {
    for (const name of (await names(session)).filter((one) => one.startsWith('connection'))) {
      const connection = join(session, name, 'iscsi_connection', name);
      for (const kind of ['', 'persistent_']) {
        const address = await text(join(connection, `${kind}address`));
        const port = await text(join(connection, `${kind}port`));
        if (portal.replaceAll(/[[\]]/g, '') === `${address}:${port}`) return true;
      }
    }
    return false;
  }
}

/** Nothing where there is no such folder: a machine without iSCSI has none. */
async function names(folder: string): Promise<string[]> {
  try {
    return await readdir(folder);
  } catch (err) {
    if (errnoOf(err) === 'ENOENT' || errnoOf(err) === 'ENOTDIR') return [];
    throw err;
  }
}

async function text(path: string): Promise<string> {
  return (await readFile(path, 'utf8').catch(() => '')).trim();
}

/** Where a link of udev leads; undefined while it is not there. */
export async function linkTarget(path: string): Promise<string | undefined> {
  try {
    return join('/dev', basename(await readlink(path)));
  } catch (err) {
    if (errnoOf(err) === 'ENOENT') return undefined;
    throw err;
  }
}
