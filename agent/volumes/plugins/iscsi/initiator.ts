import { describeEnd, programSucceeded, type ProgramResult, type RunProgram } from '../../../../base/run-program.js';
import { VolumeProblem } from '../../volume-error.js';
import type { IscsiDisk, IscsiSource } from './iscsi-disk.js';
import type { IscsiSessions } from './sessions.js';

const env = { PATH: '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin', LC_ALL: 'C' };
const timeoutMs = 120_000;
/** iscsiadm: the session, or the record, is not there; for interfaces, it is there already. */
const codes = { noSession: 2, exists: 15, noObjects: 21 };

const discoveryKeys = ['username', 'password', 'username_in', 'password_in'].map(
  (word) => `discovery.sendtargets.auth.${word}`,
);
const sessionKeys = ['username', 'password', 'username_in', 'password_in'].map((word) => `node.session.auth.${word}`);

/** Sessions with iSCSI targets, by the distribution's `iscsiadm`. What it says is what is told. */
export class Initiator {
  readonly #run: RunProgram;
  readonly #sessions: IscsiSessions;

  constructor(run: RunProgram, sessions: IscsiSessions) {
    this.#run = run;
    this.#sessions = sessions;
  }

  /** `tcp`, or the offload that an interface uses. */
  async prepareInterface(disk: IscsiDisk, signal: AbortSignal): Promise<string> {
    const base = await this.#must(['-m', 'iface', '-I', disk.baseInterface, '-o', 'show'], signal);
    const settings = parseSettings(base.stdout.toString('utf8'));
    if (disk.interface !== disk.baseInterface) await this.#cloneInterface(disk, settings, signal);
    return settings.get('iface.transport_name') ?? 'tcp';
  }

  /** Logs in to the target by one portal; what is logged in already is left alone. Leaves no record behind when it fails. */
  async login(
    portal: string,
    disk: IscsiDisk,
    source: IscsiSource,
    secrets: Readonly<Record<string, string>>,
    signal: AbortSignal,
  ): Promise<void> {
    if (await this.#sessions.hostOf(disk.iqn, portal)) return;
    const discovery = ['-m', 'discoverydb', '-t', 'sendtargets', '-p', portal, '-I', disk.interface];
    const node = ['-m', 'node', '-p', portal, '-T', disk.iqn, '-I', disk.interface];
    await this.#iscsiadm([...discovery, '-o', 'new'], signal);
    try {
      if (source.chapAuthDiscovery)
        await this.#setAll(discovery, 'discovery.sendtargets.auth.authmethod', discoveryKeys, secrets, signal);
      await this.#must([...discovery, '--discover'], signal);
    } catch (err) {
      await this.#iscsiadm([...discovery, '-o', 'delete'], signal);
      throw err;
    }
    try {
      // Other disks of the target are not this node's to know.
      await this.#iscsiadm([...node, '-o', 'update', '-n', 'node.session.scan', '-v', 'manual'], signal);
      if (source.chapAuthSession)
        await this.#setAll(node, 'node.session.auth.authmethod', sessionKeys, secrets, signal);
      await this.#must([...node, '--login'], signal);
      // A boot must not wait for a target that no pod has asked for yet.
      await this.#iscsiadm([...node, '-o', 'update', '-n', 'node.startup', '-v', 'manual'], signal);
    } catch (err) {
      await this.#iscsiadm([...node, '-o', 'delete'], signal);
      throw err;
    }
  }

  /** Ends the sessions with the target and forgets it. What is not there is a success. */
  async logout(disk: IscsiDisk, signal: AbortSignal): Promise<void> {
    for (const portal of disk.portals) {
      const node = ['-m', 'node', '-p', portal, '-T', disk.iqn, '-I', disk.interface];
      await this.#must([...node, '--logout'], signal, [codes.noSession, codes.noObjects]);
      await this.#must([...node, '-o', 'delete'], signal, [codes.noSession, codes.noObjects]);
    }
    if (disk.interface !== disk.baseInterface)
      await this.#must(['-m', 'iface', '-I', disk.interface, '-o', 'delete'], signal, [codes.noObjects]);
  }

  async #cloneInterface(
    { interface: name, initiatorName }: IscsiDisk,
    settings: ReadonlyMap<string, string>,
    signal: AbortSignal,
  ): Promise<void> {
    await this.#must(['-m', 'iface', '-I', name, '-o', 'new'], signal, [codes.exists]);
    const wanted = new Map([...settings, ['iface.initiatorname', initiatorName]]);
    for (const [key, value] of wanted) {
      if (key === 'iface.iscsi_ifacename') continue;
      await this.#must(['-m', 'iface', '-I', name, '-o', 'update', '-n', key, '-v', value], signal);
    }
  }

  async #setAll(
    record: readonly string[],
    method: string,
    keys: readonly string[],
    secrets: Readonly<Record<string, string>>,
    signal: AbortSignal,
  ): Promise<void> {
    await this.#must([...record, '-o', 'update', '-n', method, '-v', 'CHAP'], signal);
    for (const key of keys) {
      const value = secrets[key] ?? '';
      if (value !== '') await this.#must([...record, '-o', 'update', '-n', key, '-v', value], signal, [], key);
    }
  }

  async #must(
    args: readonly string[],
    signal: AbortSignal,
    fine: readonly number[] = [],
    instead?: string,
  ): Promise<ProgramResult> {
    const result = await this.#iscsiadm(args, signal);
    if (programSucceeded(result) || (result.end.kind === 'exited' && fine.includes(result.end.code))) return result;
    // A password is among the arguments.
    const told = instead === undefined ? args.join(' ') : `set ${instead}`;
    throw new VolumeProblem('failed', `iscsiadm ${told}: ${describeEnd(result)}`);
  }

  async #iscsiadm(args: readonly string[], signal: AbortSignal): Promise<ProgramResult> {
    return await this.#run({ argv: ['iscsiadm', ...args], env, timeoutMs }, signal);
  }
}

function parseSettings(text: string): Map<string, string> {
  const settings = new Map<string, string>();
  for (const [, key, value] of text.matchAll(/^(iface\.\S+) = (\S+)$/gm))
    if (key !== undefined && value !== undefined && value !== '<empty>') settings.set(key, value);
  return settings;
}
