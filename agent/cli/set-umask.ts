/**
 * What the agent makes has the mode it is made with, whatever the mask of the shell that started it: after `umask 077` the root
 * filesystems of containers, /etc/hosts and the folders of volumes would be for root alone.
 */
export function setUmask(): void {
  process.umask(0o022);
}
