"""PPO whose rollout, advantages and update are compiled; to the outside an algorithm of stable-baselines3."""
