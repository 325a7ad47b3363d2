import { constants, accessSync, existsSync, readFileSync } from 'node:fs';
import { basename } from 'node:path';
import type { IdRange } from '../state/records.js';

const perl = '/usr/bin/perl';

/** Numbers of mount(2), umount2(2) and unshare(2); those of the newer calls are the same on every architecture. */
const callNumbers: Readonly<
  Record<string, { readonly mount: number; readonly umount: number; readonly unshare: number }>
> = {
  x64: { mount: 165, umount: 166, unshare: 272 },
  arm64: { mount: 40, umount: 39, unshare: 97 },
};

/**
 * What neither Node nor util-linux before 2.39 can: ID-mapped mounts (mount_setattr(2)), and namespaces pinned together with a user
 * namespace whose map is written without newuidmap(1). Perl is on every Debian (perl-base is essential) and has the raw calls.
 * Failing it takes back what it mounted.
 */
const script = String.raw`
use strict; use warnings;
my ($mount, $umount, $unshare, $verb, @args) = @ARGV;
$_ += 0 for $mount, $umount, $unshare;
my @made;
my $null = 0;
sub call { my ($what, $number, @rest) = @_; my $r = syscall($number, @rest); die "$what: $!\n" if $r < 0; return $r }
sub bind_file { my ($from, $to) = @_; my $none = ''; call("mount $to", $mount, $from, $to, $none, 0x1000, $null); push @made, $to }
sub write_file { my ($path, $text) = @_; open(my $f, '>', $path) or die "$path: $!\n"; syswrite($f, $text) // die "$path: $!\n"; close $f or die "$path: $!\n" }
sub lo_up {
  require Socket;
  socket(my $s, Socket::AF_INET(), Socket::SOCK_DGRAM(), 0) or die "socket: $!\n";
  my $request = pack('a16 s x14', 'lo', 0x1 | 0x40);
  defined ioctl($s, 0x8914, $request) or die "set lo up: $!\n";
}
sub pin {
  my ($base, $length, @pins) = @_;
  my %flags = (user => 0x10000000, net => 0x40000000, ipc => 0x08000000, uts => 0x04000000);
  my @types = map { (split /=/, $_, 2)[0] } @pins;
  my $flags = 0; $flags |= $flags{$_} for @types;
  pipe(my $ready, my $tell) or die "pipe: $!\n"; pipe(my $wait, my $release) or die "pipe: $!\n";
  my $child = fork() // die "fork: $!\n";
  if (!$child) {
    close $ready; close $release;
    call('unshare', $unshare, $flags);
    lo_up() if grep { $_ eq 'net' } @types;
    syswrite($tell, 'x'); sysread($wait, my $end, 1);
    require POSIX; POSIX::_exit(0);
  }
  close $tell; close $wait;
  sysread($ready, my $byte, 1) or die "the namespaces were not made\n";
  write_file("/proc/$child/$_", "0 $base $length\n") for 'uid_map', 'gid_map';
  for (@pins) { my ($type, $path) = split /=/, $_, 2; bind_file("/proc/$child/ns/$type", $path) }
  close $release; waitpid($child, 0);
  @made = ();
}
sub shifted {
  my ($namespace, $from, $to) = @_;
  mkdir $to, 0700 or die "mkdir $to: $!\n";
  my $tree = call("open $from", 428, -100, $from, 1 | 0x80000);
  my $attributes = pack('QQQQ', 0x00100000, 0, 0, fileno($namespace));
  my $empty = '';
  call("map the ids of $from", 442, $tree, $empty, 0x1000, $attributes, length $attributes);
  call("mount $from", 429, $tree, $empty, -100, $to, 4);
  push @made, $to;
  require POSIX; POSIX::close($tree);
}
sub overlays {
  my ($file, $folder, @rest) = @_;
  open(my $namespace, '<', $file) or die "$file: $!\n";
  chdir $folder or die "$folder: $!\n";
  my $next = 0; my @tops;
  while (@rest) {
    my ($target, $options, $count) = splice @rest, 0, 3;
    my @names;
    for my $lower (splice @rest, 0, $count) { (my $layer = $lower) =~ s{.*/}{}; my $name = 'lower-' . $next++ . "-$layer"; shifted($namespace, $lower, $name); push @names, $name }
    my $type = 'overlay';
    my $data = join ',', 'lowerdir=' . join(':', @names), $options eq '' ? () : $options;
    call("mount $target", $mount, $type, $target, $type, 0, $data);
    push @tops, $target;
    for (@names) { call("unmount $_", $umount, $_, 0); rmdir $_ or die "rmdir $_: $!\n" }
    @made = @tops;
  }
  @made = ();
}
END { my $code = $?; for (reverse @made) { syscall($umount, $_, 2); } $? = $code }
$verb eq 'pin' ? pin(@args) : overlays(@args);
`;

/** What this machine lacks for pods with a user namespace of their own; empty when nothing. */
export function userNamespacesLack(kernel: string): string {
  const [major = 0, minor = 0] = kernel.split(/[.-]/).map(Number);
  if (major < 5 || (major === 5 && minor < 19))
    return `overlayfs takes ID-mapped layers from Linux 5.19 on, this is ${kernel}`;
  if (callNumbers[process.arch] === undefined) return `not supported on ${process.arch}`;
  if (!existsSync('/proc/self/ns/user')) return 'the kernel has no user namespaces';
  if (readOr('/proc/sys/user/max_user_namespaces') === '0') return 'user.max_user_namespaces is 0';
  try {
    accessSync(perl, constants.X_OK);
  } catch {
    return `${perl} is not there (Debian package perl-base)`;
  }
  return '';
}

export type PinTarget = readonly [type: 'user' | 'net' | 'ipc' | 'uts', path: string];

/** Makes a user namespace and others that it owns, and keeps them alive on files that are there; brings the loopback up. */
export function pinArgv(range: IdRange, pins: readonly PinTarget[]): [string, ...string[]] {
  const targets = pins.map(([type, path]) => `${type}=${path}`);
  return [...prefix(), 'pin', String(range.hostId), String(range.length), ...targets];
}

export interface ShiftedOverlay {
  readonly target: string;
  /** Mount options but `lowerdir`. */
  readonly options: string;
  readonly lowerDirs: readonly string[];
}

/**
 * Where a layer is mounted for a moment below the bundle. All that the kernel shows of it later is this name, so it names the layer:
 * whoever removes layers reads there which are in use.
 */
export const shiftedLayer = {
  name: (index: number, lowerDir: string): string => `lower-${index}-${basename(lowerDir)}`,
  pattern: /^lower-\d+-(.+)$/,
} as const;

/** Mounts overlays whose layers show the namespace's ids instead of the host's; `folder` takes short-lived mount points. */
export function overlayArgv(
  userNamespace: string,
  folder: string,
  overlays: readonly ShiftedOverlay[],
): [string, ...string[]] {
  const groups = overlays.flatMap(({ target, options, lowerDirs }) => [
    target,
    options,
    String(lowerDirs.length),
    ...lowerDirs,
  ]);
  return [...prefix(), 'overlays', userNamespace, folder, ...groups];
}

function prefix(): [string, ...string[]] {
  const { mount = 0, umount = 0, unshare = 0 } = callNumbers[process.arch] ?? {};
  return [perl, '-e', script, '--', ...[mount, umount, unshare].map(String)];
}

function readOr(path: string): string {
  try {
    return readFileSync(path, 'utf8').trim();
  } catch {
    return '';
  }
}
