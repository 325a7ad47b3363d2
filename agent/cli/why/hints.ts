import type { CurrentWait, WaitStep } from '../../podloop/steps.js';

/** What the hints look at. */
export interface HintQuestion {
  readonly wait: CurrentWait;
  readonly pod: string;
  readonly namespace: string;
}

interface Hint {
  readonly when: (wait: CurrentWait) => boolean;
  readonly say: (question: HintQuestion) => string;
}

const reason =
  (...names: readonly string[]) =>
  (wait: CurrentWait): boolean =>
    names.includes(wait.cause?.reason ?? wait.lastError?.reason ?? '');
const step =
  (...names: readonly WaitStep[]) =>
  (wait: CurrentWait): boolean =>
    names.includes(wait.step);
const words =
  (pattern: RegExp) =>
  (wait: CurrentWait): boolean =>
    pattern.test(wait.lastError?.message ?? '');
const all =
  (...tests: readonly ((wait: CurrentWait) => boolean)[]) =>
  (wait: CurrentWait): boolean =>
    tests.every((test) => test(wait));

const inNamespace = (namespace: string): string => (namespace === 'default' ? '' : ` -n ${namespace}`);

/** The first that fits is said; the special ones stand before the general ones. */
const hints: readonly Hint[] = [
  {
    when: reason('ErrImageNeverPull'),
    say: () =>
      'bring the image here with: berth images import FILE (or berth images pull NAME), or set imagePullPolicy: IfNotPresent',
  },
  {
    when: reason('InvalidImageName'),
    say: () => 'correct the image name in the manifest: REGISTRY/REPOSITORY:TAG, in small letters',
  },
  {
    when: all(step('ensure-image'), words(/credential provider/i)),
    say: () =>
      'the credential provider gave nothing the registry takes: see what it was asked and answered with: berth trace --interface credential-provider --verbose',
  },
  {
    when: all(step('ensure-image'), words(/unauthorized|authentication|denied|401|403/i)),
    say: ({ namespace }) =>
      `the registry wants credentials: make a Secret of type kubernetes.io/dockerconfigjson in namespace ${namespace} and name it in imagePullSecrets`,
  },
  {
    when: all(step('ensure-image'), words(/manifest unknown|not found|404|no such image/i)),
    say: () =>
      'the registry answers and does not have this image: check its name and tag, or import it with: berth images import FILE',
  },
  {
    when: all(step('ensure-image'), words(/http response to https client|server gave http response/i)),
    say: () => 'the registry speaks plain HTTP: start the agent with --insecure-registry HOST:PORT',
  },
  {
    when: all(
      step('ensure-image'),
      words(
        /connection refused|no such host|i\/o timeout|network is unreachable|no route to host|timed out|temporary failure in name resolution|deadline/i,
      ),
    ),
    say: () =>
      'the registry cannot be reached from this machine: check its name, the network and a proxy; without a registry use: berth images import FILE',
  },
  {
    when: step('ensure-image'),
    say: () =>
      'make the image available: berth images pull NAME shows the same error at once, berth images import FILE needs no registry',
  },
  {
    when: all(reason('CreateContainerConfigError'), words(/configmap/i)),
    say: ({ namespace }) =>
      `apply the missing ConfigMap or key (berth get configmaps${inNamespace(namespace)} shows what is there), or set optional: true`,
  },
  {
    when: all(reason('CreateContainerConfigError'), words(/secret/i)),
    say: ({ namespace }) =>
      `apply the missing Secret or key (berth get secrets${inNamespace(namespace)} shows what is there), or set optional: true`,
  },
  {
    when: all(reason('CreateContainerConfigError'), words(/non-root|runAsNonRoot|runAsUser/i)),
    say: () => 'set runAsUser to a number other than 0, or take runAsNonRoot away',
  },
  {
    when: reason('CreateContainerConfigError'),
    say: () => 'correct the container in the manifest; the message names the field',
  },
  {
    when: words(/executable file .*not found|no such file or directory.*exec|exec.*no such file or directory/i),
    say: () => 'the image has no such program: check command and args',
  },
  {
    when: words(/rootfs` private: permission denied/i),
    say: () =>
      "a folder above the agent's run folder is closed to the users of pods with hostUsers: false: chmod o+x each up to it",
  },
  {
    when: words(/permission denied/i),
    say: () =>
      'the user of the container may not: check runAsUser, fsGroup, file modes, and that the program is executable',
  },
  {
    when: reason('PostStartHookError'),
    say: ({ wait, pod, namespace }) => {
      const named = `${pod}${inNamespace(namespace)}`;
      const said = wait.container
        ? `; what the container said: berth logs ${named} -c ${wait.container} --previous`
        : '';
      return `correct the postStart hook, which ends the container when it fails${said}; start it now with: berth retry ${named}`;
    },
  },
  {
    when: all(step('mount-volumes'), words(/configmap|secret/i), words(/not found/i)),
    say: ({ namespace }) => `apply the missing object, in namespace ${namespace}, or set optional: true`,
  },
  {
    when: all(
      step('mount-volumes'),
      words(/persistentvolumeclaim|persistentvolume|storageclass/i),
      words(/not found/i),
    ),
    say: ({ namespace }) => `apply the missing object; a claim belongs into namespace ${namespace}`,
  },
  {
    when: all(step('mount-volumes'), words(/FlexVolume driver/), words(/does not exist|is not executable/)),
    say: () =>
      'put the driver there, executable, as VENDOR~DRIVER/DRIVER: it is found at once; berth plugins shows all that are there',
  },
  {
    when: all(step('mount-volumes'), words(/use CSI driver/)),
    say: () =>
      'start the driver: pods go on as soon as it registers; berth plugins shows which drivers are there and what became of the others',
  },
  {
    when: all(step('mount-volumes'), words(/mount -t nfs/), words(/No such device|unknown filesystem type/)),
    say: () => 'this machine cannot mount NFS: load the kernel module nfs, and install nfs-common (nfs-utils)',
  },
  {
    when: all(step('mount-volumes'), words(/mount -t nfs/), words(/has not ended|timed out|refused|no end within/i)),
    say: () => 'bring the server back, or correct its address: the mount goes on by itself when it answers',
  },
  {
    when: all(step('mount-volumes'), words(/hostpath type check failed|is not a|does not exist/i)),
    say: () => 'make the path on this machine, or choose type DirectoryOrCreate or FileOrCreate',
  },
  {
    when: step('mount-volumes'),
    say: ({ pod }) => `see what the volume plugin was asked and answered: berth trace ${pod} --verbose`,
  },
  {
    when: all(step('runtime'), words(/speaks API/)),
    say: () => 'install a newer Docker Engine, or choose another runtime with containerRuntimeEndpoint',
  },
  {
    when: step('runtime'),
    say: () =>
      'start the container runtime, or look into its own log: pods go on by themselves when it answers; berth check says which one is used',
  },
  {
    when: step('devices'),
    say: () =>
      'start the plugin of this device again: berth plugins shows which are registered, berth trace --interface device-plugin --verbose what it said last',
  },
  {
    when: all(step('resize'), reason('Infeasible')),
    say: () => 'this node can never give that much: ask for less, or recreate the pod on another node',
  },
  {
    when: step('resize'),
    say: () => 'it is done when other pods give enough back: delete or shrink one, or ask for less',
  },
  {
    when: step('resize-pod', 'pin-containers'),
    say: ({ pod }) => `see what the runtime was asked and answered: berth trace ${pod} --failed --verbose`,
  },
  {
    when: words(/no space left|ENOSPC|disk quota/i),
    say: () => 'the disk is full: berth check shows which, berth images shows what can go',
  },
  {
    when: step('prepare-pod'),
    say: () =>
      'a folder or cgroup of the pod could not be made; the message names it, berth check says what the host lacks',
  },
  {
    when: step('network'),
    say: () =>
      'give the node a network: put a CNI configuration into its folder and the plugins beside it; berth check says which and where',
  },
  {
    when: all(step('create-sandbox'), words(/address already in use|port.*(in use|taken)|hostPort/i)),
    say: () => 'another process of this machine has the host port: stop it, or choose another hostPort',
  },
  {
    when: all(
      step('create-sandbox'),
      words(/no (ip )?addresses? (available|are available)|range.* full|failed to allocate|exhausted/i),
    ),
    say: () => 'the subnet of the network is used up: delete pods, or give the CNI configuration a larger subnet',
  },
  {
    when: step('create-sandbox'),
    say: ({ pod }) =>
      `see what the network plugin was asked and answered: berth trace ${pod} --interface cni --verbose`,
  },
  {
    when: step('restart-back-off'),
    say: ({ wait, pod, namespace }) => {
      const where = `${inNamespace(namespace)}${wait.container ? ` -c ${wait.container}` : ''}`;
      const named = `${pod}${inNamespace(namespace)}`;
      return `see how it ended, or why it cannot start: berth describe pod ${named}; its last words: berth logs ${pod}${where} --previous; start it now with: berth retry ${named}`;
    },
  },
  {
    when: step('init-container'),
    say: ({ wait, pod, namespace }) =>
      `an init container must end well first: berth logs ${pod}${inNamespace(namespace)}${wait.container ? ` -c ${wait.container}` : ''}`,
  },
  {
    when: step('startup-probe'),
    say: ({ wait, pod }) =>
      `it is not up as its startup probe asks: berth logs ${pod}${wait.container ? ` -c ${wait.container}` : ''}; give it more time with failureThreshold`,
  },
  {
    when: step('readiness-probe'),
    say: ({ wait, pod, namespace }) =>
      `it runs and its readiness probe fails: try the probe by hand with: berth exec ${pod}${inNamespace(namespace)}${wait.container ? ` -c ${wait.container}` : ''} -- ...`,
  },
  { when: step('readiness-gate'), say: () => 'whoever owns the condition of the readiness gate must set it to True' },
  { when: step('turn-to-stop'), say: () => 'sidecars stop after the containers they serve; nothing to do' },
  {
    when: step('pre-stop', 'kill-container'),
    say: ({ pod, namespace }) =>
      `it has its grace period to end; end it at once with: berth delete pod ${pod}${inNamespace(namespace)} --force`,
  },
  {
    when: step('sources'),
    say: () => 'a source of pods has not answered yet: check the manifest folder, the manifest URL, or the API server',
  },
  {
    when: step('stop-sandbox', 'remove-sandbox', 'remove-container', 'unmount-volumes', 'release-pod'),
    say: ({ pod }) =>
      `the agent repeats it until it succeeds; see what stands in its way: berth trace ${pod} --failed --verbose`,
  },
  {
    when: step('start-container'),
    say: ({ wait, pod }) =>
      `see what the runtime was asked and answered: berth trace ${pod} --interface oci --verbose${wait.container ? `; output of the container, if any: berth logs ${pod} -c ${wait.container}` : ''}`,
  },
];

/** What would unblock the pod, in words of commands and fields; undefined while it only needs a moment. */
export function hintFor(question: HintQuestion): string | undefined {
  const { wait } = question;
  const needsError: readonly WaitStep[] = [
    'ensure-image',
    'mount-volumes',
    'create-sandbox',
    'start-container',
    'prepare-pod',
  ];
  if (needsError.includes(wait.step) && wait.lastError === undefined) return undefined;
  return hints.find((hint) => hint.when(wait))?.say(question);
}

interface RejectionHint {
  readonly reason: RegExp;
  readonly say: (again: string) => string;
}

const rejections: readonly RejectionHint[] = [
  {
    reason: /^NodePorts$/,
    say: (again) =>
      `another pod of this node has the host port; which: berth get pods -A -o custom-columns=POD:.metadata.name,PORTS:.spec.containers[*].ports[*].hostPort; choose another port or end that pod, ${again}`,
  },
  {
    reason: /^OutOf/,
    say: (again) =>
      `the node has not that much left: berth describe node shows what there is; ask for less or end other pods, ${again}`,
  },
  {
    reason: /^Evicted$/,
    say: () => 'the node ran short of something: berth pressure says of what, and who would go next',
  },
];

/** What would let in a pod that the node did not take. */
export function rejectionHint(reason: string, pod: string, namespace: string): string | undefined {
  const again = `then make this one anew: berth delete pod ${pod}${inNamespace(namespace)}, and apply it again`;
  return rejections.find((each) => each.reason.test(reason))?.say(again);
}
