// One boot of a guest: what qemu is started with, and what the guest says at its end.
import { spawn } from 'node:child_process';
import { readFileSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { kernelImage } from './kernel.mjs';

/** Each is found in the guest by its name, which is its serial number. */
function diskArguments(disks, folder) {
  return Object.entries(disks).flatMap(([name, { mib, bus = 'pci.0' }], at) => {
    const file = join(folder, `${name}.img`);
    writeFileSync(file, '');
    truncateSync(file, mib * 2 ** 20);
    return [
      ...['-drive', `if=none,id=disk${at},format=raw,file=${file}`],
      ...['-device', `virtio-blk-pci,drive=disk${at},serial=${name},bus=${bus}`],
    ];
  });
}

const sharedFolder = (tag, path) => [
  ...['-fsdev', `local,id=${tag},path=${path},security_model=none,readonly=on,multidevs=remap`],
  ...['-device', `virtio-9p-pci,fsdev=${tag},mount_tag=${tag}`],
];

/**
 * The emulated counter ticks as that of this machine. Under load the guest measures it wrong, and reads a clock that is many times as
 * slow; on a machine that is a guest itself Linux tells how fast it is.
 */
function clockArguments() {
  const cpu = readFileSync('/proc/cpuinfo', 'utf8');
  const mhz = /^cpu MHz\s*:\s*(\S+)$/m.exec(cpu)?.[1];
  const known = /^flags\s*:.* constant_tsc .* hypervisor /m.test(cpu) && mhz !== undefined;
  return known ? ['tsc=reliable', `tsc_early_khz=${Math.round(Number(mhz) * 1000)}`] : [];
}

/** True when the checks in the guest passed. */
export async function boot(machine, { kernel, initramfs, packages, folder }) {
  const accelerator = process.env.BERTH_GUEST_ACCEL ?? 'tcg,thread=multi';
  // The last two make an emulated processor faster.
  const words =
    'console=ttyS0 quiet panic=-1 cgroup_no_v1=all systemd.unified_cgroup_hierarchy=1 no5lvl mitigations=off';
  const qemu = spawn(
    'qemu-system-x86_64',
    [
      ...['-accel', accelerator, '-cpu', accelerator.startsWith('kvm') ? 'host' : 'max'],
      ...['-smp', String(machine.cpus ?? 2), '-m', String(machine.memoryMib ?? 2048)],
      ...['-no-reboot', '-nodefaults', '-display', 'none', '-serial', 'stdio'],
      ...['-kernel', kernelImage(kernel), '-initrd', initramfs],
      ...['-append', [words, ...clockArguments(), ...(machine.kernelArgs ?? [])].join(' ')],
      ...sharedFolder('host', '/'),
      ...(packages === undefined ? [] : sharedFolder('packages', packages)),
      ...(machine.qemuArgs ?? []),
      ...diskArguments(machine.disks ?? {}, folder),
    ],
    { stdio: ['ignore', 'pipe', 'inherit'] },
  );
  let text = '';
  qemu.stdout.setEncoding('utf8').on('data', (piece) => {
    text += piece;
    process.stdout.write(piece);
  });
  const limitMinutes = machine.limitMinutes ?? 25;
  const timer = setTimeout(() => {
    console.log(`no end within ${limitMinutes} minutes`);
    qemu.kill('SIGKILL');
  }, limitMinutes * 60_000);
  await new Promise((resolve) => qemu.once('exit', resolve));
  clearTimeout(timer);
  return text.includes('GUEST: passed');
}
