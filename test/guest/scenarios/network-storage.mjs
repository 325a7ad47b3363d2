// Disks and folders that come over a network, from the servers that Debian has: knfsd, and tgt behind open-iscsi. Also with the server away.
import { spawn } from 'node:child_process';
import { appendFileSync, chownSync, existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { container, containerId, podOf } from '../inside/pods.mjs';

export const machine = {
  modules: ['ext4', 'nfsd', 'nfsv4', 'iscsi_tcp', 'sd_mod'],
  disks: { store: { mib: 256 } },
  packages: ['nfs-kernel-server', 'open-iscsi', 'tgt', 'udev'],
};

const store = '/srv/store';
const shared = join(store, 'shared');
const group = 3000;
const target = 'iqn.2026-11.com.example:disks';
const portal = '127.0.0.1:3260';
/** Of a target that asks who comes, and says who it is; discovery asks too. */
const lockedTarget = 'iqn.2026-11.com.example:locked';
const chapSecret = (password) => ({
  apiVersion: 'v1',
  kind: 'Secret',
  type: 'kubernetes.io/iscsi-chap',
  metadata: { name: 'chap' },
  stringData: {
    'discovery.sendtargets.auth.username': 'finder',
    'discovery.sendtargets.auth.password': 'finder-of-disks',
    'node.session.auth.username': 'node',
    'node.session.auth.password': password,
    'node.session.auth.username_in': 'disks',
    'node.session.auth.password_in': 'keeper-of-disks',
  },
});

const claims = (name, { mode = 'ReadWriteOnce', volumeMode = 'Filesystem', storage = '32Mi', ...source }) => {
  const common = { accessModes: [mode], volumeMode };
  const kinds = { apiVersion: 'v1', metadata: { name } };
  return [
    { ...kinds, kind: 'PersistentVolume', spec: { ...common, capacity: { storage }, ...source } },
    {
      ...kinds,
      kind: 'PersistentVolumeClaim',
      spec: { ...common, storageClassName: '', volumeName: name, resources: { requests: { storage: '32Mi' } } },
    },
  ];
};

const nfs = (name, path, mountOptions) =>
  claims(name, { mode: 'ReadWriteMany', nfs: { server: '127.0.0.1', path }, mountOptions });

const iscsi = (name, lun, more = {}) =>
  claims(name, { iscsi: { targetPortal: portal, iqn: target, lun, fsType: 'ext4' }, ...more });

/** A pod with one claim, as a folder or as a device. */
const using = (name, claim, { script, readOnly = false, device = false } = {}) => {
  const mounts = device
    ? { volumeDevices: [{ name: 'data', devicePath: '/dev/data' }] }
    : { volumeMounts: [{ name: 'data', mountPath: '/data' }] };
  return podOf(name, [container({}, script, mounts)], {
    securityContext: { fsGroup: group },
    volumes: [{ name: 'data', persistentVolumeClaim: { claimName: claim, readOnly } }],
  });
};

const stays = "trap 'exit 0' TERM; sleep 1000000 & wait";
const says = (script) => `${script}; ${stays}`;

/** Tells of a file again and again, and what the kernel says when it cannot. */
const follows = `while true; do cat /data/hello >/dev/null 2>/tmp/why && echo well || echo "ill: $(cat /tmp/why)"; sleep 1; done & ${stays}`;

class NetworkStorage {
  #guest;
  #agent;
  #pods = new Map();

  constructor(guest) {
    this.#guest = guest;
  }

  async apply(...objects) {
    for (const object of objects) if (object.kind === 'Pod') this.#pods.set(object.metadata.name, object);
    await this.#agent.apply(...objects);
  }

  async start() {
    this.#agent = await this.#guest.startAgent();
    return this.#agent;
  }

  prepareDisk() {
    mkdirSync(store, { recursive: true });
    this.#guest.run('mkfs.ext4', '-q', this.#guest.disk('store'));
    this.#guest.run('mount', this.#guest.disk('store'), store);
    mkdirSync(shared);
    chownSync(shared, 0, group);
    this.#guest.run('chmod', '2775', shared);
    for (const lun of [1, 2, 3]) this.#guest.run('truncate', '-s', '40M', join(store, `lun-${lun}`));
  }

  startNfs() {
    mkdirSync('/run/rpcbind', { recursive: true });
    for (const [type, place] of [
      ['nfsd', '/proc/fs/nfsd'],
      ['rpc_pipefs', '/var/lib/nfs/rpc_pipefs'],
    ]) {
      mkdirSync(place, { recursive: true });
      this.#guest.run('mount', '-t', type, type, place);
    }
    for (const file of ['etab', 'rmtab', 'state']) appendFileSync(join('/var/lib/nfs', file), '');
    writeFileSync('/proc/fs/nfsd/nfsv4leasetime', '10');
    writeFileSync('/proc/fs/nfsd/nfsv4gracetime', '10');
    this.#guest.run('rpcbind', '-w');
    // The root of version 4: the machine's own, an overlay, cannot be exported.
    this.#guest.run('exportfs', '-i', '-o', 'rw,fsid=0,no_root_squash,no_subtree_check', `127.0.0.1:${shared}`);
    this.#guest.run('rpc.mountd');
    this.nfsThreads(4);
  }

  nfsThreads(count) {
    this.#guest.run('rpc.nfsd', String(count));
  }

  /** With a daemon that gives up soon on a target that is away. */
  async startIscsi() {
    mkdirSync('/run/lock/iscsi', { recursive: true });
    mkdirSync('/run/udev', { recursive: true });
    this.#guest.run('/lib/systemd/systemd-udevd', '--daemon');
    writeFileSync('/etc/iscsi/initiatorname.iscsi', 'InitiatorName=iqn.2026-11.com.example:guest\n');
    const settings = {
      'node.session.timeo.replacement_timeout': 5,
      'node.conn[0].timeo.login_timeout': 5,
      'node.conn[0].timeo.logout_timeout': 5,
      'node.session.initial_login_retry_max': 1,
      'discovery.sendtargets.reopen_max': 1,
      'iscsid.startup': '/bin/false',
    };
    appendFileSync(
      '/etc/iscsi/iscsid.conf',
      Object.entries(settings)
        .map(([key, value]) => `${key} = ${value}\n`)
        .join(''),
    );
    this.#guest.run('iscsid');
    await this.startTarget();
  }

  async startTarget() {
    const admin = (...args) => this.#guest.run('tgtadm', '--lld', 'iscsi', ...args);
    this.target = spawn('tgtd', ['--foreground'], { stdio: 'ignore' });
    await this.#guest.until('the target daemon', () => admin('--mode', 'sys', '--op', 'show').includes('System'));
    admin('--op', 'new', '--mode', 'target', '--tid', '1', '--targetname', target);
    for (const lun of ['1', '2'])
      admin('--op', 'new', '--mode', 'logicalunit', '--tid', '1', '--lun', lun, '-b', join(store, `lun-${lun}`));
    admin('--op', 'bind', '--mode', 'target', '--tid', '1', '--initiator-address', 'ALL');
  }

  /** One more target, with secrets both ways, and for discovery. */
  lockTarget() {
    const admin = (...args) => this.#guest.run('tgtadm', '--lld', 'iscsi', ...args);
    const account = (user, password, ...bound) => {
      admin('--mode', 'account', '--op', 'new', '--user', user, '--password', password);
      admin('--mode', 'account', '--op', 'bind', '--user', user, ...bound);
    };
    admin('--op', 'new', '--mode', 'target', '--tid', '2', '--targetname', lockedTarget);
    admin('--op', 'new', '--mode', 'logicalunit', '--tid', '2', '--lun', '1', '-b', join(store, 'lun-3'));
    admin('--op', 'bind', '--mode', 'target', '--tid', '2', '--initiator-address', 'ALL');
    account('node', 'user-of-disks', '--tid', '2');
    account('disks', 'keeper-of-disks', '--tid', '2', '--outgoing');
    account('finder', 'finder-of-disks');
  }

  async stopTarget() {
    const gone = new Promise((resolve) => this.target.once('exit', resolve));
    this.target.kill('SIGKILL');
    await gone;
  }

  async says(pod, wanted) {
    return await this.#guest.until(`${pod} to say ${wanted}`, async () => {
      const said = (await this.#agent.logOf(pod)).trim();
      return wanted.test(said) ? said : undefined;
    });
  }

  /** What the pod waits for, as `berth why` tells it. */
  async waitsFor(pod, wanted) {
    return await this.#guest.until(`${pod} to wait for ${wanted}`, async () => {
      const said = JSON.stringify((await this.#agent.pod(pod)).waits);
      return wanted.test(said) ? said : undefined;
    });
  }

  async delete(...names) {
    const objects = names.map((name) => JSON.stringify(this.#pods.get(name)));
    await this.#agent.call('POST', '/v1/delete?grace=1', objects.join('\n---\n'));
  }

  async untilGone(...names) {
    for (const name of names)
      await this.#guest.until(`the end of ${name}`, async () => {
        const { items } = JSON.parse(await this.#agent.call('GET', '/v1/pods'));
        return !items.some(({ pod = {}, metadata = pod.metadata }) => metadata.name === name);
      });
  }

  mounts(type) {
    return readFileSync('/proc/mounts', 'utf8')
      .split('\n')
      .filter((line) => new RegExp(` ${type} `).test(line) && line.includes('/berth-guest/'));
  }

  sessions() {
    const folder = '/sys/class/iscsi_session';
    return existsSync(folder) ? readdirSync(folder).length : 0;
  }

  async ids(...names) {
    return await Promise.all(names.map(async (name) => containerId(await this.#agent.pod(name))));
  }

  /** Two pods on one folder, one of them read-only; what they do with it is what the server has. */
  async folders() {
    await this.apply(
      ...nfs('files', '/', ['nfsvers=4.2', 'hard', 'retry=0']),
      ...nfs('gives-up', shared, ['nfsvers=3', 'nolock', 'soft', 'timeo=10', 'retrans=1', 'retry=0']),
      using('writer', 'files', { script: says('echo hello >/data/hello && stat -c %g /data/hello && id -G') }),
      using('reader', 'files', { readOnly: true, script: says('echo no >/data/no 2>&1; cat /data/hello') }),
      using('impatient', 'gives-up', { script: follows }),
    );
    for (const name of ['writer', 'reader', 'impatient']) await this.#agent.untilReady(name);
    const written = await this.says('writer', /\n/);
    // The folder's own setgid bit, not the agent, gave the group: a server's files are not the node's to change.
    this.#guest.check('nfs: the group of a new file, and those of the process', written.split('\n'), [
      '3000',
      '0 3000',
    ]);
    this.#guest.checkThat(
      'nfs: read-only',
      /Read-only file system/.test(await this.says('reader', /hello|No such/)),
      'reader',
    );
    this.#guest.check('nfs: on the server', readFileSync(join(shared, 'hello'), 'utf8'), 'hello\n');
    this.#guest.check('nfs: nothing more on it', readdirSync(shared), ['hello']);
    this.#guest.check('nfs: mounts', this.mounts('nfs4?').length, 3);
    await this.says('impatient', /^well/m);
  }

  async disks() {
    const device = {
      device: true,
      script: says(
        'dd if=/dev/data bs=5 count=1 2>/dev/null; echo; echo again | dd of=/dev/data bs=6 conv=fsync 2>/dev/null',
      ),
    };
    writeFileSync(join(store, 'lun-2'), Buffer.concat([Buffer.from('blank'), Buffer.alloc(40 * 2 ** 20 - 5)]));
    await this.apply(
      ...iscsi('disk', 1),
      ...iscsi('raw', 2, { volumeMode: 'Block' }),
      using('first', 'disk', { script: says('stat -c %g:%A /data; echo one >/data/one; sync') }),
      using('second', 'disk', { script: says('until cat /data/one; do sleep 1; done') }),
      using('device', 'raw', device),
    );
    for (const name of ['first', 'second', 'device']) await this.#agent.untilReady(name);
    this.#guest.check('iscsi: the group of the disk', await this.says('first', /:/), '3000:drwxrwsr-x');
    await this.says('second', /^one$/m);
    this.#guest.check('iscsi: what the device held', await this.says('device', /\w/), 'blank');
    this.#guest.check('iscsi: one session for two disks', this.sessions(), 1);
    // Mounted once for the node, and bound for each of two pods.
    this.#guest.check('iscsi: mounts', this.mounts('ext4').filter((line) => line.startsWith('/dev/sd')).length, 3);
  }

  /** Another agent finds all of it: nothing is mounted again, no container is made anew. */
  async restart() {
    const pods = ['writer', 'reader', 'impatient', 'first', 'second', 'device'];
    const before = [await this.ids(...pods), this.mounts('nfs4?').length, this.sessions()];
    await this.#agent.stop();
    await this.start();
    for (const name of pods) await this.#agent.untilReady(name);
    this.#guest.check(
      'after another start all is as it was',
      [await this.ids(...pods), this.mounts('nfs4?').length, this.sessions()],
      before,
    );
  }

  async serverAway() {
    this.nfsThreads(0);
    this.#guest.note('the NFS server is away');
    // By the version that gives up: the other waits in the kernel, for two minutes until the agent ends its program.
    await this.apply(using('late', 'gives-up', { script: stays }));
    const late = await this.waitsFor('late', /mount\.nfs/);
    this.#guest.checkThat(
      'nfs away: a new pod says the volume and the words',
      /mount\.nfs: (Connection refused|requested NFS version .* is not supported)/.test(late) && late.includes('data'),
      late,
    );
    await this.apply(using('hard', 'files', { script: stays }));
    // A slow machine is told first that something goes on, and then what.
    const soon = await this.waitsFor('hard', /mount -t nfs .* has not ended: /);
    this.#guest.checkThat(
      'nfs away: a hard mount that goes on says so, and what is known of the server',
      /volume \\?"data\\?" : kubernetes.io\/nfs: mount -t nfs 127.0.0.1:\/ was begun at 20\S+Z and has not ended: /.test(
        soon,
      ),
      soon,
    );
    await this.says('impatient', /ill: .*(Input\/output error|timed out)/);
    await this.delete('impatient', 'reader');
    await this.untilGone('impatient', 'reader');
    this.#guest.check('nfs away: pods that go leave no mount', this.mounts('nfs4?').length, 1);
    const { waits } = await this.#agent.pod('late');
    this.#guest.checkThat('nfs away: the agent answers', waits.length > 0, 'late');
    const { node } = await this.#agent.stats();
    this.#guest.checkThat('nfs away: and tells its stats', node.memory.workingSetBytes > 0, 'node');
    this.nfsThreads(4);
    for (const name of ['late', 'hard']) await this.#agent.untilReady(name);
    this.#guest.check(
      'nfs back: hard-mounted pods went on',
      (await this.#agent.pod('writer')).status.containerStatuses[0].restartCount,
      0,
    );
  }

  async targetAway() {
    await this.stopTarget();
    this.#guest.note('the iSCSI target is away');
    // One of two goes: nothing of the disk is touched.
    await this.delete('second');
    await this.untilGone('second');
    await this.delete('first', 'device');
    // Its disk does not take what is left to write, and its session cannot be ended in peace: it goes all the same, or when the target is back.
    await this.#guest.until('the containers to end', async () => this.mounts('overlay').length <= 3);
    await this.startTarget();
    await this.untilGone('first', 'device');
    this.#guest.check('iscsi: no session is left', this.sessions(), 0);
    this.#guest.check(
      'iscsi: no device is left',
      readdirSync('/sys/block').filter((name) => name.startsWith('sd')),
      [],
    );
    const { status } = await this.ready(using('heir', 'disk', { script: says('cat /data/one') }));
    this.#guest.check(
      'iscsi: the disk kept its file',
      [status.phase, await this.says('heir', /\w/)],
      ['Running', 'one'],
    );
  }

  async ready(pod) {
    await this.apply(pod);
    return await this.#agent.untilReady(pod.metadata.name);
  }

  /** Its device is taken away under it: told, and no reason to stay for ever. */
  async deviceGone() {
    const [disk] = readdirSync('/sys/block').filter((name) => name.startsWith('sd'));
    writeFileSync(`/sys/block/${disk}/device/delete`, '1');
    await this.delete('heir');
    await this.untilGone('heir');
    this.#guest.check('iscsi: a device that was pulled leaves no session', this.sessions(), 0);
    const { status } = await this.ready(using('next', 'disk', { script: says('cat /data/one') }));
    this.#guest.check(
      'iscsi: and the disk comes back',
      [status.phase, await this.says('next', /\w/)],
      ['Running', 'one'],
    );
  }

  /** A target that wants to know who comes: the wrong word is told, and never shown; the right one opens. */
  async secrets() {
    this.lockTarget();
    const iscsi = { targetPortal: portal, iqn: lockedTarget, lun: 1, fsType: 'ext4' };
    const chap = { chapAuthDiscovery: true, chapAuthSession: true, secretRef: { name: 'chap', namespace: 'default' } };
    await this.apply(
      chapSecret('not-the-password'),
      ...claims('locked', { iscsi: { ...iscsi, ...chap } }),
      using('guarded', 'locked', { script: says('echo kept >/data/file; while sleep 1; do df -P -m /data; done') }),
    );
    const refused = await this.waitsFor('guarded', /auth/);
    this.#guest.checkThat(
      'iscsi: a wrong password is told by who refused it',
      /--login: exited with 24: .*login failed due to authorization failure/.test(refused),
      refused,
    );
    this.#guest.checkThat('iscsi: and not shown', !/not-the-password|keeper-of/.test(refused), 'it is among the words');
    await this.apply(chapSecret('user-of-disks'));
    await this.#agent.untilReady('guarded');
    const sessions = '/sys/class/iscsi_session';
    const told = readdirSync(sessions).map((session) =>
      ['username', 'username_in'].map((name) => readFileSync(join(sessions, session, name), 'utf8').trim()),
    );
    this.#guest.checkThat('iscsi: each knows who the other is', told.flat().includes('node'), JSON.stringify(told));
    this.#guest.checkThat('iscsi: also the target', told.flat().includes('disks'), JSON.stringify(told));
    await this.growth((storage) => claims('locked', { storage, iscsi: { ...iscsi, ...chap } }));
  }

  /** The target restarts with a larger disk while a pod has it; its session comes back by itself. */
  async growth(asking) {
    const before = Number(/\s(\d+)\s+\d+\s+\d+\s+\d+%/.exec(await this.says('guarded', /%/))[1]);
    await this.apply(...asking('64Mi'));
    await this.#guest.until('the pod to be told that the disk is too small', async () =>
      (await this.#agent.call('GET', '/v1/events')).includes('its target must grow it first'),
    );
    await this.delete('next');
    await this.untilGone('next');
    // What is written meanwhile is to wait, not to fail: on a slow machine the target needs longer than the five seconds of before.
    const sessions = '/sys/class/iscsi_session';
    for (const session of readdirSync(sessions)) writeFileSync(join(sessions, session, 'recovery_tmo'), '120');
    await this.stopTarget();
    this.#guest.run('truncate', '-s', '80M', join(store, 'lun-3'));
    await this.startTarget();
    this.lockTarget();
    const grown = await this.#guest.until('the file system to have grown', async () => {
      const size = Number(/.*\s(\d+)\s+\d+\s+\d+\s+\d+%/s.exec(await this.#agent.logOf('guarded'))[1]);
      return size > before + 20 ? size : undefined;
    });
    this.#guest.checkThat('iscsi: the file system grew under a running pod', grown > before, `${before} to ${grown}`);
    const { status } = await this.#agent.pod('guarded');
    this.#guest.check('iscsi: which was not disturbed', status.containerStatuses[0].restartCount, 0);
  }

  async end() {
    await this.#agent.removeAll();
    this.#guest.check('mounts that are left', [...this.mounts('nfs4?'), ...this.mounts('ext4')], []);
    this.#guest.check('sessions that are left', this.sessions(), 0);
    const records = existsSync('/etc/iscsi/nodes') ? readdirSync('/etc/iscsi/nodes') : [];
    this.#guest.check('records of targets that are left', records, []);
    const folders = join(this.#agent.rootDir, 'plugins/kubernetes.io/iscsi');
    const left = existsSync(folders) ? readdirSync(folders, { recursive: true }) : [];
    this.#guest.check(
      'folders of disks that are left',
      left.filter((name) => name !== 'volumeDevices'),
      [],
    );
    this.#guest.check('files of users', readdirSync(shared), ['hello']);
  }
}

export async function check(guest) {
  const storage = new NetworkStorage(guest);
  storage.prepareDisk();
  storage.startNfs();
  await storage.startIscsi();
  guest.note('the servers are up');
  await storage.start();
  await storage.folders();
  await storage.disks();
  await storage.restart();
  await storage.serverAway();
  await storage.targetAway();
  await storage.deviceGone();
  await storage.secrets();
  await storage.end();
}
