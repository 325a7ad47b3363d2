import { checkCgroup2 } from '../checks/cgroup2.mjs';

export const machine = {};

export const check = (guest) => checkCgroup2(guest, 'cgroupfs');
