import { constants } from 'node:fs';
import { access, mkdir, mkdtemp, open, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { runProgram } from '../../../base/run-program.js';
import { makeBusyboxRootfs } from '../../../cri/embedded/images/index.js';
import { hostProgram, tryHostProgram } from '../../support/host-program.js';
import { until } from '../../support/until.js';

/** One busybox command under real conmon and crun, with a log in the CRI format. Disposing it removes all of it. */
export class ConmonContainer implements AsyncDisposable {
  readonly folder: string;
  readonly id: string;
  readonly logPath: string;

  private constructor(folder: string) {
    this.folder = folder;
    this.id = basename(folder);
    this.logPath = join(folder, 'logs', '0.log');
  }

  static async open(command: string): Promise<ConmonContainer> {
    const container = new ConmonContainer(await mkdtemp(join(tmpdir(), 'berth-conmon-')));
    await container.#start(command);
    return container;
  }

  /** CRI ReopenContainerLog. */
  async reopen(): Promise<void> {
    const fifo = await open(join(this.folder, 'ctl'), constants.O_WRONLY | constants.O_NONBLOCK);
    await fifo.write('2 0 0\n');
    await fifo.close();
    // A container that ends right now is not reopened any more: nobody waits for that.
    await until('the log to be reopened', async () => (await exists(this.logPath)) || (await this.ended()));
    if (!(await exists(this.logPath))) throw new Error('the container ended before its log was reopened');
  }

  /** Where conmon and the container are, for a failure that nobody was there to see. */
  async state(): Promise<string> {
    const look = async (file: string): Promise<string> => {
      const pid = (await readFile(join(this.folder, file), 'utf8')).trim();
      const parts = ['wchan', 'status'].map(
        async (name) => await readFile(`/proc/${pid}/${name}`, 'utf8').catch(() => 'gone'),
      );
      const [wchan = '', status = ''] = await Promise.all(parts);
      return `${file} ${pid}: ${/^State:.*$/m.exec(status)?.[0] ?? status} in ${wchan}`;
    };
    const log = await readFile(this.logPath, 'utf8').catch(() => 'no log');
    return [await look('conmon.pid'), await look('pidfile'), `log ends with ${JSON.stringify(log.slice(-120))}`].join(
      '\n',
    );
  }

  async ended(): Promise<boolean> {
    return await exists(join(this.folder, 'exits', this.id));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const conmon = Number(await readFile(join(this.folder, 'conmon.pid'), 'utf8'));
    await tryHostProgram(['crun', '--root', join(this.folder, 'root'), 'delete', '--force', this.id]);
    await until('conmon to end', async () => !(await exists(`/proc/${conmon}`)));
    await rm(this.folder, { recursive: true });
  }

  async #start(command: string): Promise<void> {
    const { folder, id } = this;
    for (const name of ['rootfs', 'logs', 'exits', 'root']) await mkdir(join(folder, name));
    await makeBusyboxRootfs(join(folder, 'rootfs'), {}, { run: runProgram }, new AbortController().signal);
    await writeFile(join(folder, 'config.json'), JSON.stringify(spec(id, command)));
    const runtimeArgs = ['--runtime-arg', '--root', '--runtime-arg', join(folder, 'root')];
    await hostProgram([
      'conmon',
      ...['--api-version', '1', '--cid', id, '--cuuid', id, '--name', id, '--runtime', '/usr/bin/crun', ...runtimeArgs],
      ...['--full-attach', '--bundle', folder, '--container-pidfile', join(folder, 'pidfile'), '--conmon-pidfile'],
      ...[join(folder, 'conmon.pid'), '--exit-dir', join(folder, 'exits'), '--log-path', `k8s-file:${this.logPath}`],
    ]);
    await until('the container to be created', () => exists(join(folder, 'pidfile')));
    await hostProgram(['crun', '--root', join(folder, 'root'), 'start', id]);
  }
}

async function exists(path: string): Promise<boolean> {
  return await access(path).then(
    () => true,
    () => false,
  );
}

function spec(id: string, command: string): object {
  return {
    ociVersion: '1.0.2',
    process: {
      terminal: false,
      user: { uid: 0, gid: 0 },
      args: ['sh', '-c', command],
      env: ['PATH=/bin'],
      cwd: '/',
      noNewPrivileges: true,
    },
    root: { path: 'rootfs', readonly: true },
    hostname: 'test',
    mounts: [{ destination: '/proc', type: 'proc', source: 'proc' }],
    linux: {
      cgroupsPath: `/${id}`,
      namespaces: [{ type: 'pid' }, { type: 'mount' }, { type: 'ipc' }, { type: 'uts' }],
    },
  };
}
