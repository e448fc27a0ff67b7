"""Voice activity, engines, GigaAM, model downloads. Uses media and billing."""
