import { criError } from './cri-error.js';

const ofIpc = /^(kernel\.(msgmax|msgmnb|msgmni|sem|shmall|shmmax|shmmni|shm_rmid_forced)|fs\.mqueue\..+)$/;

/** Which of the sandbox's own namespaces holds a setting; undefined when none does, and it would be the whole machine's. */
function namespaceOf(name: string): 'network' | 'ipc' | 'uts' | undefined {
  if (name.startsWith('net.')) return 'network';
  if (ofIpc.test(name)) return 'ipc';
  return name === 'kernel.domainname' ? 'uts' : undefined;
}

/** The OCI runtime would refuse them when it makes a container; a sandbox that cannot hold one is no sandbox. */
export function checkSysctls(
  verb: string,
  sysctls: Readonly<Record<string, string>>,
  { network, ipc }: { readonly network: 'POD' | 'NODE'; readonly ipc: 'POD' | 'NODE' },
): void {
  const own = { network: network === 'POD', ipc: ipc === 'POD', uts: network === 'POD' };
  for (const given of Object.keys(sysctls)) {
    // As sysctl(8) has it, both separators are known: the one that comes first is the separator.
    const slash = given.indexOf('/');
    const dot = given.indexOf('.');
    const name = slash !== -1 && (dot === -1 || slash < dot) ? given.replaceAll('/', '.') : given;
    const namespace = namespaceOf(name);
    if (namespace === undefined) {
      throw criError('invalid-argument', `${verb}: sysctl ${given} is the whole machine's, not a sandbox's`);
    }
    if (!own[namespace]) {
      throw criError(
        'invalid-argument',
        `${verb}: sysctl ${given} needs a ${namespace} namespace of the sandbox's own`,
      );
    }
  }
}
